from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import Column, Package, write_package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.evaluation.evaluate import Champion, Evaluation, EvaluationError, evaluate
from tests.fakes.evaluations import record
from tests.fakes.packages import FEATURES, SHOPS, build_package, records

HOLDOUT = records(500, seed=9)
LABELS = HOLDOUT["label"]


def evaluated(package: Package, **changes: Any) -> Evaluation:
    scores = Scorer.load(package).predict(HOLDOUT).probabilities[:, 1]
    arguments: dict[str, Any] = {
        "training": record(digest=package.digest, holdout_rows=HOLDOUT.height),
        "trained_scores": scores.astype(np.float64) + 1e-7,
        **changes,
    }
    return evaluate(package, HOLDOUT, arguments.pop("labels", LABELS), **arguments)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(tmp_path_factory.mktemp("champion") / "shop_risk", seed=4)


def test_the_package_is_measured_on_the_holdout(package: Package) -> None:
    evaluation = evaluated(package)

    assert (evaluation.model, evaluation.digest) == ("shop_risk", package.digest)
    assert (evaluation.rows, evaluation.positives) == (500, LABELS.sum())
    assert evaluation.metrics["roc_auc"] is not None
    assert evaluation.metrics["roc_auc"] > 0.65
    assert sum(evaluation.confusion.model_dump().values()) == 500
    assert evaluation.parity.max_difference == pytest.approx(1e-7, rel=0.1)
    assert evaluation.champion is None


def test_the_champion_is_measured_on_the_same_rows_through_its_own_package(
    package: Package, other: Package
) -> None:
    evaluation = evaluated(package, champion=Champion(3, other.digest, other))

    assert evaluation.champion is not None
    assert evaluation.champion.problem == ""
    assert evaluation.champion.metrics == evaluated(other).metrics
    assert evaluation.champion.metrics != evaluation.metrics


def test_a_champion_that_needs_a_column_of_old_is_a_problem_and_no_error(
    package: Package, other: Package, tmp_path: Path
) -> None:
    gone = Column(name="gone", dtype="Float64")
    older = write_package(
        tmp_path / "older",
        other.signature.model_copy(update={"inputs": [*other.signature.inputs, gone]}),
        model=other.files["model.onnx"],
        features=FEATURES.encode(),
        lookups={"shops": SHOPS},
    )

    evaluation = evaluated(package, champion=Champion(2, older.digest, older))

    assert evaluation.champion is not None
    assert evaluation.champion.metrics == {}
    assert "missing column gone" in evaluation.champion.problem


def test_a_champion_without_a_package_says_why(package: Package, other: Package) -> None:
    lost = evaluated(package, champion=Champion(2, other.digest, None, "the artifact store is down"))
    swapped = evaluated(package, champion=Champion(2, "0" * 64, other))

    assert lost.champion is not None
    assert lost.champion.problem == "the artifact store is down"
    assert swapped.champion is not None
    assert f"has the digest {other.digest}" in swapped.champion.problem


def test_groups_are_reported(package: Package) -> None:
    evaluation = evaluated(package, protected=HOLDOUT.select("shop"))

    assert [group.value for group in evaluation.groups] == ["a", "b", "c"]
    assert sum(group.rows for group in evaluation.groups) == 500


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trained_scores": np.zeros(3)}, "500 records of the training's holdout, 3 scores"),
        ({"labels": LABELS.head(10)}, "500 records, 10 labels"),
        ({"protected": pl.DataFrame({"age": [1]})}, "1 protected rows"),
        ({"labels": LABELS.set(LABELS == 1, 2)}, "labels are"),
        ({"labels": LABELS.set(LABELS == 1, None)}, "labels are"),
        ({"training": record()}, "the training record is about abab"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(
    package: Package, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(EvaluationError, match=said):
        evaluated(package, **changes)


def test_a_holdout_that_has_changed_since_training_is_refused(package: Package) -> None:
    with pytest.raises(EvaluationError, match="400 rows in the training record; its data has changed"):
        evaluated(package, training=record(digest=package.digest, holdout_rows=400))
