"""Slices: planted ones are found, chance ones are not, and a gate on a slice fails closed."""

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.evaluation.plans import SlicePlan
from mlcicd_assets.ml.evaluation.slice_conditions import Slice, SliceError, SliceGate
from mlcicd_assets.ml.evaluation.slice_metrics import row_losses, slice_metric
from mlcicd_assets.ml.evaluation.slice_search import find_slices
from mlcicd_assets.ml.evaluation.slices import (
    WORST,
    Scored,
    SlicesEvidence,
    explain,
    measure_slices,
    values,
)
from mlcicd_assets.ml.evaluation.target import Target

BINARY = Target("binary")


def holdout(rows: int = 4_000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Records, truth and scores of a model that knows nothing where carrier is AA and the way is long."""
    rng = np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "carrier": rng.choice(["AA", "B6", "UA"], rows),
            "distance": rng.uniform(100, 3_000, rows).round(1),
            "online": rng.random(rows) < 0.5,
            "temp": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(50, 10, rows)),
        }
    ).with_columns(pl.col("temp").fill_nan(None))
    truth = (rng.random(rows) < 0.3).astype(np.int64)
    blind = ((table["carrier"] == "AA") & (table["distance"] > 2_000)).to_numpy()
    scores = np.where(truth == 1, 0.8, 0.1) + rng.normal(0, 0.05, rows)
    scores = np.where(blind, rng.random(rows), scores).clip(0.01, 0.99)
    return table, truth, scores


def measured(**changes: Any) -> SlicesEvidence:
    table, truth, scores = holdout()
    fields: dict[str, Any] = {"metric": "roc_auc", "better": metrics_of("binary")}
    return measure_slices(Scored(BINARY, truth, scores), table, table.columns, **{**fields, **changes})


def test_a_planted_slice_is_found_and_is_the_worst() -> None:
    section = measured()
    worst = section.found[0]
    assert "carrier=AA" in worst.name
    assert "distance>=" in worst.name
    assert worst.effect is not None
    assert worst.effect > 1
    assert worst.low is not None
    assert worst.low > 0
    assert worst.metric.value is not None
    assert worst.metric.value < 0.7
    assert values(section)[WORST] == worst.effect
    assert worst.name in explain(section, WORST)


def test_what_is_shown_can_be_declared_and_is_the_same_slice() -> None:
    section = measured()
    again = measured(plan=SlicePlan(of=[one.name for one in section.found]))
    assert {one.name: one for one in again.declared} == {one.name: one for one in section.found}


def test_chance_alone_finds_next_to_nothing() -> None:
    """With 5 % of false discoveries and no bound on the effect few of 40 searches find anything."""
    surprised = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        table, _, _ = holdout(1_500, seed)
        found = find_slices(table, rng.exponential(1, 1_500), SlicePlan(effect=1e-9, pairs=False)).found
        surprised += bool(found)
    assert surprised <= 6


def test_a_pair_is_not_shown_where_one_condition_says_it_all() -> None:
    table, _, _ = holdout()
    losses = np.random.default_rng(0).exponential(1, table.height)
    losses[(table["carrier"] == "AA").to_numpy()] += 3
    assert [str(one.slice) for one in find_slices(table, losses, SlicePlan()).found] == ["carrier=AA"]


def test_missing_values_are_a_slice() -> None:
    table, _, _ = holdout()
    losses = np.random.default_rng(0).exponential(1, table.height)
    losses[table["temp"].is_null().to_numpy()] += 3
    assert str(find_slices(table, losses, SlicePlan()).found[0].slice) == "temp is missing"


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_is_immaterial(seed: int) -> None:
    table, truth, scores = holdout(1_000)
    order = np.random.default_rng(seed).permutation(1_000)
    plan = SlicePlan(of=["carrier", "distance>=1000"], minimum=50)
    kept: dict[str, Any] = {"metric": "accuracy", "better": metrics_of("binary"), "plan": plan}
    kept["gates"] = ["recall[carrier]"]
    straight = measure_slices(Scored(BINARY, truth, scores), table, table.columns, **kept)
    mixed = measure_slices(Scored(BINARY, truth[order], scores[order]), table[order], table.columns, **kept)
    assert mixed == straight


def test_the_search_sees_what_a_plain_loop_over_rows_sees() -> None:
    table, _, _ = holdout()
    losses = np.random.default_rng(0).exponential(1, table.height)
    losses[(table["carrier"] == "AA").to_numpy()] += 1
    found = find_slices(table, losses, SlicePlan(pairs=False)).found[0]
    inside = (table["carrier"] == "AA").to_numpy()
    one, other = losses[inside], losses[~inside]
    assert found.rows == inside.sum()
    assert (found.loss, found.rest) == pytest.approx((one.mean(), other.mean()))
    pooled = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    assert found.effect == pytest.approx((one.mean() - other.mean()) / pooled)
    from scipy.stats import ttest_ind

    assert found.p_value == pytest.approx(
        ttest_ind(one, other, equal_var=False, alternative="greater").pvalue
    )


def test_declared_slices_are_shown_beside_the_champion() -> None:
    _, truth, _ = holdout()
    flat = Scored(BINARY, truth, np.full(len(truth), 0.3))
    section = measured(
        plan=SlicePlan(of=["carrier", "distance>=2500 & online=true", "temp is missing"]), champion=flat
    )
    names = {one.name for one in section.declared}
    assert names == {
        "carrier=AA",
        "carrier=B6",
        "carrier=UA",
        "distance>=2500 & online=true",
        "temp is missing",
    }
    assert section.declared[0].name == "carrier=AA"  # worst first
    assert all(
        one.champion is not None and one.champion.value == pytest.approx(0.5) for one in section.declared
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("airline=AA", "there is no column 'airline'; there are: carrier"),
        ("carrier>=AA", "only numbers are more or less"),
        ("distance=far", "'far' is none"),
        ("distance", "has .* values, more than 100"),
    ],
)
def test_a_declared_slice_that_does_not_fit_the_records_is_named(text: str, problem: str) -> None:
    section = measured(plan=SlicePlan(of=[text]), gates=[f"recall[{text}]"])
    assert section.declared == []
    assert re.search(problem, section.problems[0])
    assert values(section)[f"recall[{text}]"] is None
    assert re.search(problem, explain(section, f"recall[{text}]"))


@pytest.mark.parametrize("text", ["carrier=", "=AA", "carrier==", "a=1 & ", "carrier is", ""])
def test_a_slice_that_cannot_be_read_is_refused_when_it_is_declared(text: str) -> None:
    if text == "carrier==":  # the value "="
        assert str(Slice.parse(text)) == text
        return
    with pytest.raises(SliceError, match="a condition reads like 'carrier=AA'"):
        Slice.parse(text)
    with pytest.raises(ValueError, match="a condition reads like"):
        SlicePlan(of=[text])


@pytest.mark.parametrize("text", ["carrier=H&M", "a>=1 & b=x y", "a is missing & b!=2", "carrier"])
def test_a_slice_reads_as_it_is_written(text: str) -> None:
    assert str(Slice.parse(text)) == text
    gate = SliceGate.parse(f"recall[{text}]")
    assert gate is not None
    assert (gate.metric, str(gate.slice)) == ("recall", text)


def test_a_gate_decides_on_the_slice_or_the_worst_of_a_column() -> None:
    names = ["roc_auc[carrier=AA]", "roc_auc[carrier]", "log_loss[carrier]", "roc_auc[carrier=B6]"]
    section = measured(gates=names)
    decided = values(section)
    assert decided["roc_auc[carrier]"] == decided["roc_auc[carrier=AA]"]
    assert section.gates["roc_auc[carrier]"].slice == "carrier=AA"
    assert section.gates["log_loss[carrier]"].slice == "carrier=AA"  # less is better
    assert decided["roc_auc[carrier=B6]"] == pytest.approx(1.0)
    assert "95% interval" in explain(section, "roc_auc[carrier]")


def test_a_gate_without_evidence_has_no_value_and_says_why() -> None:
    table, truth, scores = holdout()
    quiet = np.where(table["carrier"].to_numpy() == "AA", 0, truth)
    section = measure_slices(
        Scored(BINARY, quiet, scores),
        table,
        table.columns,
        metric="roc_auc",
        better=metrics_of("binary"),
        gates=["recall[carrier=ZZ]", "recall[carrier=AA]", "recall[carrier]"],
    )
    assert set(values(section).values()) >= {None}
    assert "carrier=ZZ has 0 rows in this holdout and 100 are needed" in explain(
        section, "recall[carrier=ZZ]"
    )
    assert "recall is not defined on carrier=AA" in explain(section, "recall[carrier=AA]")
    assert "recall is not defined on carrier=AA" in explain(section, "recall[carrier]")
    assert [values(section)[name] for name in section.gates] == [None, None, None]
    assert values(None) == {}


def test_nothing_searched_is_no_proof() -> None:
    table, truth, scores = holdout(50)
    section = measure_slices(
        Scored(BINARY, truth, scores), table, table.columns, metric="roc_auc", better=metrics_of("binary")
    )
    assert values(section)[WORST] is None


@pytest.mark.parametrize("name", ["accuracy", "recall", "precision", "roc_auc", "average_precision", "f1"])
def test_the_metric_of_a_slice_is_the_metric_of_the_evaluation(name: str) -> None:
    _, truth, scores = holdout(300)
    scores = scores.round(1)  # ties
    found = slice_metric(BINARY, truth, scores, name)
    assert found.value == pytest.approx(BINARY.measure(truth, scores).metrics[name])
    if found.low is not None and found.high is not None:
        assert found.low <= found.value <= found.high  # type: ignore[operator]


def test_losses_are_those_of_the_task() -> None:
    from sklearn.metrics import log_loss

    _, truth, scores = holdout(300)
    assert row_losses(BINARY, truth, scores).mean() == pytest.approx(log_loss(truth, scores))
    many = Target("multiclass", (0, 1, 2))
    three = np.stack([scores / 2, 1 - scores, scores / 2], axis=1)
    assert row_losses(many, truth, three).mean() == pytest.approx(log_loss(truth, three, labels=[0, 1, 2]))
    numbers = Target("regression", ())
    assert row_losses(numbers, np.array([1.0, 2.0]), np.array([3.0, 2.0])).tolist() == [4.0, 0.0]


def test_the_evidence_survives_json() -> None:
    section = measured(plan=SlicePlan(of=["carrier"]), gates=["recall[carrier=AA]"])
    assert SlicesEvidence.model_validate_json(section.model_dump_json()) == section
