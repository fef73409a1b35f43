"""Two trainings compared: the same bytes, near enough, or not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.evaluation.gates import GateResult, decide, required
from mlcicd_assets.ml.evaluation.reproducibility import Repeated, compare
from tests.fakes.evaluations import OTHER_DIGEST, declaration, evaluation, repeated
from tests.fakes.packages import build_package

SCORES = np.array([0.1, 0.5, 0.9])


@pytest.fixture
def packages(tmp_path: Path) -> tuple[Package, Package, Package]:
    """A package, the same again, and another one."""
    return (
        build_package(tmp_path / "first"),
        build_package(tmp_path / "again"),
        build_package(tmp_path / "other", seed=1),
    )


def test_the_same_bytes_are_reproducible(packages: tuple[Package, Package, Package]) -> None:
    first, again, _ = packages

    found = compare(first, again, (SCORES, SCORES), trained_on=400, sampled=False, tolerance=0.0)

    assert found.exact
    assert found.passed
    assert found.difference == 0
    assert found.files == []


@pytest.mark.parametrize(
    ("tolerance", "passed"),
    [(0.0, False), (0.01, True), (0.001, False)],
    ids=["none", "enough", "too little"],
)
def test_other_bytes_pass_within_a_declared_tolerance_only(
    packages: tuple[Package, Package, Package], tolerance: float, passed: bool
) -> None:
    first, _, other = packages

    found = compare(
        first, other, (SCORES, SCORES + 0.005), trained_on=400, sampled=False, tolerance=tolerance
    )

    assert not found.exact
    assert found.passed is passed
    assert found.difference == pytest.approx(0.005)
    assert found.files == ["model.onnx"]


def test_other_bytes_with_the_same_scores_need_a_tolerance(
    packages: tuple[Package, Package, Package],
) -> None:
    first, _, other = packages

    assert not compare(first, other, (SCORES, SCORES), trained_on=1, sampled=False, tolerance=0.0).passed


@pytest.mark.parametrize("after", [np.array([0.1, np.nan, 0.9]), np.array([0.1, 0.5])], ids=["NaN", "shape"])
def test_scores_that_cannot_be_compared_never_pass(
    packages: tuple[Package, Package, Package], after: np.ndarray
) -> None:
    first, again, _ = packages

    found = compare(first, again, (SCORES, after), trained_on=400, sampled=False, tolerance=1.0)

    assert found.difference is None
    assert found.problem
    assert not found.passed


def test_metrics_that_differ_are_kept_with_both_values(packages: tuple[Package, Package, Package]) -> None:
    first, _, other = packages

    found = compare(
        first,
        other,
        (SCORES, SCORES),
        trained_on=400,
        sampled=True,
        tolerance=0.1,
        metrics=({"roc_auc": 0.8, "f1": 0.5}, {"roc_auc": 0.81, "f1": 0.5}),
    )

    assert found.metrics == {"roc_auc": (0.8, 0.81)}


def gate(found: Repeated | None, **rule: Any) -> GateResult:
    declared = declaration(reproducible=rule)
    judged = decide(declared, evaluation(reproducibility=found))
    return next(result for result in judged if result.name == "reproducible")


def test_the_gate_passes_the_same_package() -> None:
    result = gate(repeated())

    assert result.passed
    assert "byte for byte" in result.message


@pytest.mark.parametrize(
    ("found", "rule", "said"),
    [
        (None, {}, "not repeated"),
        (repeated(again=OTHER_DIGEST, difference=0.0), {}, "no tolerance is declared"),
        (repeated(again=OTHER_DIGEST, difference=0.2, tolerance=0.1), {"tolerance": 0.1}, "0.1 is allowed"),
        (
            repeated(again="", difference=None, problem="the data is gone"),
            {"tolerance": 1.0},
            "the data is gone",
        ),
        (repeated(again=OTHER_DIGEST, difference=0.2, tolerance=0.5), {"tolerance": 0.1}, "0.5 is allowed"),
    ],
    ids=["missing", "other bytes", "too far", "could not", "declared anew"],
)
def test_the_gate_blocks_what_was_not_made_again(
    found: Repeated | None, rule: dict[str, Any], said: str
) -> None:
    result = gate(found, **rule)

    assert not result.passed
    assert said in result.message


def test_a_model_may_be_repeated_on_the_schedule_only() -> None:
    assert "reproducible" not in required(declaration(reproducible={"gate": False, "schedule": "0 3 * * 0"}))


@pytest.mark.parametrize("rule", [{"schedule": "weekly"}, {"timezone": "Asia/Nowhere"}, {"sample": -1}])
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="reproducible"):
        declaration(reproducible=rule)
