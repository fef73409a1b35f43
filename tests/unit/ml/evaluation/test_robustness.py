"""Robustness: planted fragility is caught and named, and drops are those of the same rows."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.artifact.scoring import ScoringError
from mlcicd_assets.ml.evaluation.disturbances import Disturbance, sample
from mlcicd_assets.ml.evaluation.perturbations import (
    KINDS,
    UNSEEN,
    disturb,
    disturbed_columns,
    in_unit,
    units,
)
from mlcicd_assets.ml.evaluation.plans import RobustnessPlan
from mlcicd_assets.ml.evaluation.robustness import (
    FAILURES,
    GATES,
    RobustnessEvidence,
    explain,
    measure_robustness,
    values,
)
from mlcicd_assets.ml.evaluation.target import Target

INPUTS = [
    Column(name="amount", dtype="Float64", nullable=True),
    Column(name="count", dtype="Int16", nullable=False),
    Column(name="shop", dtype="String", nullable=False),
    Column(name="online", dtype="Boolean", nullable=False),
    Column(name="at", dtype="Datetime", nullable=False),
]
BINARY = Target("binary")


def records(rows: int = 1_000) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "amount": rng.normal(50, 20, rows),
            "count": rng.integers(1, 40, rows).astype(np.int16),
            "shop": rng.choice(["a", "b", "c"], rows),
            "online": rng.random(rows) < 0.5,
            "at": [datetime(2026, 1, 1 + n % 28) for n in range(rows)],
            "label": rng.integers(0, 2, rows),
        }
    )
    logit = (frame["amount"].to_numpy() - 50) / 15 + (frame["shop"] == "a").to_numpy()
    return frame, (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int64)


def checked(frame: pl.DataFrame) -> None:
    """As the package's scorer: what the contract does not allow is refused."""
    for column in INPUTS:
        if not column.nullable and frame[column.name].null_count():
            raise ScoringError(f"column {column.name!r} must not be null")


def sturdy(frame: pl.DataFrame) -> np.ndarray:
    checked(frame)
    amount = frame["amount"].fill_null(50.0).to_numpy().clip(-1e3, 1e3)
    logit = (amount - 50) / 15 + (frame["shop"] == "a").to_numpy()
    return 1 / (1 + np.exp(-logit))


def measured(predict: Callable[[pl.DataFrame], np.ndarray] = sturdy, **changes: Any) -> RobustnessEvidence:
    frame, truth = records()
    fields: dict[str, Any] = {"metric": "roc_auc", "more_is_better": True}
    return measure_robustness(predict, BINARY, frame, truth, INPUTS, **{**fields, **changes})


def named(section: RobustnessEvidence, name: str) -> Disturbance:
    return next(one for one in section.disturbances if one.name == name)


def test_a_sturdy_model_has_drops_and_no_failure() -> None:
    section = measured()
    assert section.failures == []
    decided = values(section)
    assert decided.keys() == GATES.keys()
    assert decided[FAILURES] == 0
    assert 0 <= decided["noise_drop"] < 0.02  # type: ignore[operator]
    assert decided["missing_drop"] > 0.01  # type: ignore[operator]
    assert decided["units_drop"] > 0.1  # type: ignore[operator]
    worst = max(section.disturbances, key=lambda one: one.drop or 0)
    assert worst.what == "amount × 1000"


@pytest.mark.parametrize("metric", ["roc_auc", "average_precision", "log_loss", "accuracy", "f1", "brier"])
def test_a_drop_is_the_difference_in_the_direction_of_worse_with_its_interval(metric: str) -> None:
    more = metric not in {"log_loss", "brier"}
    section = measured(metric=metric, more_is_better=more)
    missing = named(section, "missing")
    assert section.value is not None
    assert missing.value is not None
    assert missing.drop == pytest.approx((section.value - missing.value) * (1 if more else -1))
    assert missing.low is not None
    assert missing.high is not None
    assert missing.low <= missing.drop <= missing.high  # type: ignore[operator]
    assert "95% interval" in explain(section, "missing_drop")


def test_more_noise_drops_more() -> None:
    drops = [values(measured(plan=RobustnessPlan(noise=noise)))["noise_drop"] for noise in (0.1, 1.0, 5.0)]
    assert drops == sorted(drops)  # type: ignore[type-var]
    assert drops[2] > 0.1  # type: ignore[operator]


def by_place(frame: pl.DataFrame) -> np.ndarray:
    return np.linspace(0.1, 0.9, frame.height)


def by_neighbours(frame: pl.DataFrame) -> np.ndarray:
    amount = frame["amount"].fill_null(50.0).to_numpy()
    return 0.5 + 0.1 * np.tanh(amount - amount.mean())


def by_column_position(frame: pl.DataFrame) -> np.ndarray:
    return frame[:, 0].to_numpy() / 1e3


@pytest.mark.parametrize(
    ("predict", "name"),
    [
        (by_place, "row_order"),
        (by_place, "duplicates"),
        (by_neighbours, "alone"),
        (by_column_position, "column_order"),
    ],
)
def test_a_score_that_depends_on_more_than_its_row_is_a_failure(predict: Any, name: str) -> None:
    if name == "column_order":
        frame, truth = records()
        frame = frame.select("amount", "count")
        section = measure_robustness(
            predict, BINARY, frame, truth, INPUTS[:2], metric="roc_auc", more_is_better=True
        )
    else:
        section = measured(predict)
    failed = named(section, name)
    assert "get another score" in failed.failure
    assert "amount" in failed.example
    assert values(section)[FAILURES] >= 1  # type: ignore[operator]
    assert name in explain(section, FAILURES)


def crashes_at_null(frame: pl.DataFrame) -> np.ndarray:
    checked(frame)
    if frame["amount"].null_count():
        raise ScoringError("the features function failed: amount is null")
    return sturdy(frame)


def no_number_for_huge_counts(frame: pl.DataFrame) -> np.ndarray:
    scores = sturdy(frame)
    return np.where(frame["count"].to_numpy() > 30_000, np.nan, scores)


def crashes_at_unseen(frame: pl.DataFrame) -> np.ndarray:
    if (frame["shop"] == UNSEEN).any():
        raise ScoringError("unknown category")
    return sturdy(frame)


@pytest.mark.parametrize(
    ("predict", "name", "column", "record"),
    [
        (crashes_at_null, "missing", "amount", "amount=null"),
        (no_number_for_huge_counts, "extremes", "count", "count=32767"),
        (crashes_at_unseen, "unseen", "shop", f"shop={UNSEEN}"),
    ],
)
def test_a_crash_is_a_failure_named_with_column_and_record(
    predict: Any, name: str, column: str, record: str
) -> None:
    section = measured(predict)
    failed = named(section, name)
    assert failed.failure.startswith(f"{column}: ")
    assert failed.columns == [column]
    assert record in explain(section, FAILURES)
    gate = f"{name}_drop"
    assert values(section)[gate] is None  # a drop that could not be measured passes no gate
    assert column in explain(section, gate)


def test_a_null_that_the_contract_does_not_allow_must_be_refused() -> None:
    def lenient(frame: pl.DataFrame) -> np.ndarray:
        return sturdy(frame.with_columns(pl.col("count").fill_null(1), pl.col("shop").fill_null("")))

    sound = [one for one in measured().disturbances if one.name == "null"]
    assert [one.columns for one in sound] == [["count"], ["shop"], ["online"], ["at"]]
    assert all("must not be null" in one.note for one in sound)
    broken = [one.columns for one in measured(lenient).failures]
    assert broken == [["count"], ["shop"]]


def test_declared_units_replace_the_default_factors() -> None:
    plan = RobustnessPlan(units={"amount": "fahrenheit", "count": 60})
    section = measured(plan=plan)
    shifted = [one.what for one in section.disturbances if one.name == "units"]
    assert shifted == ["amount fahrenheit", "count × 60"]
    frame, _ = records(3)
    hot, sixty = units(INPUTS, plan)
    assert in_unit(frame, hot)["amount"].to_list() == pytest.approx((frame["amount"] * 1.8 + 32).to_list())
    assert in_unit(frame, sixty)["count"].to_list() == (frame["count"].cast(pl.Int64) * 60).to_list()
    back = RobustnessPlan(units={"amount": "celsius"})
    both = in_unit(in_unit(frame, hot), units(INPUTS, back)[0])
    assert both["amount"].to_list() == pytest.approx(frame["amount"].to_list())


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (RobustnessPlan(units={"shop": 60.0}), r"units names shop, but .* numeric inputs are amount, count"),
        (RobustnessPlan(fixed=["shoop"]), r"fixed names shoop, but the model's inputs are amount"),
    ],
)
def test_a_plan_for_other_columns_is_refused(plan: RobustnessPlan, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        measured(plan=plan)


def test_a_fixed_column_is_never_disturbed() -> None:
    plan = RobustnessPlan(fixed=["shop"])
    assert [disturbed_columns(kind, INPUTS, plan) for kind in KINDS] == [
        ["amount", "count"],
        ["amount"],
        [],
        ["amount", "count", "at"],
    ]
    section = measured(plan=plan)
    assert values(section)["unseen_drop"] is None
    assert "no input can be disturbed so" in explain(section, "unseen_drop")


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 1_000), st.sampled_from(["amount", "count", "shop", "at"]))
def test_a_column_is_disturbed_alone_as_among_others(kind: Any, seed: int, name: str) -> None:
    frame, _ = records(200)
    plan = RobustnessPlan()
    columns = disturbed_columns(kind, INPUTS, plan)
    together = disturb(frame, kind, columns, plan, seed)
    assert together.schema == frame.schema
    if name in columns:
        assert disturb(frame, kind, [name], plan, seed)[name].equals(together[name])
    else:
        assert together[name].equals(frame[name])


@pytest.mark.parametrize(
    "dtype", ["Int8", "UInt8", "Int64", "UInt64", "Float32", "Date", "Time", "Datetime[UTC]"]
)
def test_every_type_has_extremes_and_stays_itself(dtype: str) -> None:
    column = Column(name="x", dtype=dtype)
    wanted = column.polars
    first = pl.Series("x", [date(2026, 1, 1)] * 100).cast(pl.Datetime("us"))
    plain = pl.Series("x", [1] * 100)
    known = plain.cast(wanted) if not wanted.is_temporal() or wanted == pl.Time() else first
    if wanted.is_temporal() and wanted != pl.Time():
        known = first.dt.replace_time_zone("UTC") if wanted != pl.Date() else first.cast(pl.Date)
    plan = RobustnessPlan(extremes=1.0)
    changed = disturb(pl.DataFrame([known]), "extremes", ["x"], plan, 0)["x"]
    assert changed.dtype == wanted
    assert changed.n_unique() == 2
    assert changed.null_count() == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(10, 500), st.integers(1, 400), st.floats(0.01, 0.5), st.integers(0, 100))
def test_a_sample_keeps_every_class(size: int, rows: int, share: float, seed: int) -> None:
    truth = (np.random.default_rng(seed).random(size) < share).astype(np.int64)
    chosen = sample(truth, rows, seed, by_class=True)
    assert len(set(chosen.tolist())) == len(chosen)
    assert set(truth[chosen]) == set(truth)
    assert len(chosen) <= max(rows, 2) + 1
    assert (np.diff(chosen) > 0).all()


def test_a_sample_that_does_not_define_the_metric_has_no_drop_and_says_so() -> None:
    frame, truth = records(200)
    section = measure_robustness(
        sturdy, BINARY, frame, np.zeros_like(truth), INPUTS, metric="roc_auc", more_is_better=True
    )
    assert values(section)["noise_drop"] is None
    assert "does not define roc_auc" in explain(section, "noise_drop")


def test_a_regression_drops_too() -> None:
    frame, _ = records()
    truth = frame["amount"].to_numpy() * 2

    def double(frame: pl.DataFrame) -> np.ndarray:
        checked(frame)
        return frame["amount"].fill_null(50.0).to_numpy() * 2

    section = measure_robustness(
        double, Target("regression", ()), frame, truth, INPUTS, metric="rmse", more_is_better=False
    )
    assert values(section)["noise_drop"] == pytest.approx(0.1 * 2 * 20, rel=0.15)
    assert named(section, "noise").low > 0  # type: ignore[operator]


def test_the_evidence_survives_json_and_its_absence_has_no_values() -> None:
    section = measured(crashes_at_null)
    assert RobustnessEvidence.model_validate_json(section.model_dump_json()) == section
    assert values(None) == {}
    assert measured() == measured()
