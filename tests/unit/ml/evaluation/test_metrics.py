import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from mlcicd_assets.ml.evaluation.metrics import METRICS, MIN_GROUP_POSITIVES, measure, recall_at
from tests.fakes.evaluations import labels_and_scores

SCORES = arrays(np.float64, st.integers(20, 60), elements=st.floats(0, 1))


def test_every_metric_of_the_catalogue_is_computed() -> None:
    labels, scores = labels_and_scores()
    groups = pl.DataFrame({"age": np.where(np.arange(len(labels)) % 2 == 0, "young", "old")})

    metrics = measure(labels, scores, 0.5, protected=groups).metrics

    assert list(metrics) == list(METRICS)
    assert metrics.pop("expected_cost") is None  # no costs are known here
    assert all(value is not None and math.isfinite(value) for value in metrics.values())


def test_metrics_are_those_of_scikit_learn() -> None:
    labels, scores = labels_and_scores()
    alarms = scores >= 0.4

    metrics = measure(labels, scores, 0.4).metrics

    assert metrics["roc_auc"] == sklearn_metrics.roc_auc_score(labels, scores)
    assert metrics["average_precision"] == sklearn_metrics.average_precision_score(labels, scores)
    assert metrics["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, alarms)
    )
    assert metrics["precision"] == sklearn_metrics.precision_score(labels, alarms)
    assert metrics["f1"] == sklearn_metrics.f1_score(labels, alarms)
    assert metrics["brier"] == sklearn_metrics.brier_score_loss(labels, scores)


@settings(max_examples=25)
@given(SCORES, st.data())
def test_metrics_stay_in_their_bounds(scores: np.ndarray, data: st.DataObject) -> None:
    labels = data.draw(arrays(np.int64, len(scores), elements=st.integers(0, 1)))

    metrics = measure(labels, scores, 0.5).metrics

    for name, value in metrics.items():
        assert value is None or value >= 0
        assert value is None or value <= 1 or name == "log_loss"


@settings(max_examples=25)
@given(SCORES, st.data())
def test_the_order_of_rows_is_immaterial(scores: np.ndarray, data: st.DataObject) -> None:
    labels = data.draw(arrays(np.int64, len(scores), elements=st.integers(0, 1)))
    order = data.draw(st.permutations(range(len(scores))))

    one, two = measure(labels, scores, 0.5).metrics, measure(labels[order], scores[order], 0.5).metrics

    assert one == pytest.approx(two, nan_ok=True)


def test_recall_at_an_alert_rate_rounds_up_and_shares_ties() -> None:
    labels = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 1])

    assert recall_at(labels, np.arange(10)[::-1] / 10, 0.1) == pytest.approx(1 / 3)
    assert recall_at(labels, np.arange(10)[::-1] / 10, 0.11) == pytest.approx(1 / 3)
    assert recall_at(labels, np.arange(10)[::-1] / 10, 0.3) == pytest.approx(2 / 3)
    # All alike: the first two of ten find two tenths of the positives on average.
    assert recall_at(labels, np.full(10, 0.5), 0.2) == pytest.approx(0.2)
    assert recall_at(np.zeros(10), np.full(10, 0.5), 0.2) is None


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_defines_no_ranking(label: int) -> None:
    metrics = measure(np.full(50, label), np.linspace(0, 1, 50), 0.5).metrics

    assert metrics["roc_auc"] is None
    assert metrics["average_precision"] is None
    assert metrics["recall_at_1pct_alerts"] is None
    assert metrics["balanced_accuracy"] is None
    assert metrics["brier"] is not None


def test_no_alarms_define_no_precision() -> None:
    labels, scores = labels_and_scores()

    metrics = measure(labels, scores * 0.1, 0.5).metrics

    assert metrics["precision"] is None
    assert metrics["recall"] == 0


@pytest.mark.parametrize(
    ("labels", "scores"), [([], []), ([0, 1], [0.2, math.nan]), ([0, 1], [0.2, math.inf])]
)
def test_nothing_is_measured_on_no_rows_or_no_numbers(labels: list[int], scores: list[float]) -> None:
    measured = measure(np.array(labels), np.array(scores), 0.5, protected=pl.DataFrame({"age": labels}))

    assert measured.metrics == dict.fromkeys(METRICS)


def grouped(counts: dict[str, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, pl.DataFrame]:
    """Per group: positives, and how many of them are found."""
    labels, scores, names = [0] * 10, [0.1] * 10, ["young"] * 10
    for name, (positives, found) in counts.items():
        labels += [1] * positives
        scores += [0.9] * found + [0.1] * (positives - found)
        names += [name] * positives
    return np.array(labels), np.array(scores), pl.DataFrame({"age": names})


def test_the_gap_is_the_largest_difference_of_recall() -> None:
    labels, scores, ages = grouped({"young": (100, 90), "middle": (100, 70), "old": (100, 60)})

    measured = measure(labels, scores, 0.5, protected=ages)

    assert measured.metrics["equal_opportunity_gap"] == pytest.approx(0.3)
    assert {group.value: group.recall for group in measured.groups} == {
        "young": 0.9,
        "middle": 0.7,
        "old": 0.6,
    }


def test_small_groups_are_reported_but_do_not_count() -> None:
    few = MIN_GROUP_POSITIVES - 1
    labels, scores, ages = grouped({"young": (100, 90), "old": (100, 80), "rare": (few, 0)})

    measured = measure(labels, scores, 0.5, protected=ages)

    assert measured.metrics["equal_opportunity_gap"] == pytest.approx(0.1)
    rare = next(group for group in measured.groups if group.value == "rare")
    assert (rare.positives, rare.recall, rare.counted) == (few, 0.0, False)


@pytest.mark.parametrize("counts", [{"young": (100, 90)}, {"young": (100, 90), "old": (5, 0)}])
def test_one_group_alone_is_no_evidence(counts: dict[str, tuple[int, int]]) -> None:
    labels, scores, ages = grouped(counts)

    assert measure(labels, scores, 0.5, protected=ages).metrics["equal_opportunity_gap"] is None


def test_each_protected_column_needs_evidence() -> None:
    labels, scores, ages = grouped({"young": (100, 90), "old": (100, 90)})
    alike = ages.with_columns(gender=pl.lit("x"))

    assert measure(labels, scores, 0.5, protected=alike).metrics["equal_opportunity_gap"] is None
    assert measure(labels, scores, 0.5).metrics["equal_opportunity_gap"] is None


def test_missing_values_are_a_group_and_groups_without_positives_have_no_recall() -> None:
    labels, scores, ages = grouped({"young": (40, 20), "old": (40, 20)})
    holes = ages.with_columns(age=pl.when(pl.col("age") != "old").then("age"))
    more = pl.concat([holes, pl.DataFrame({"age": ["none found"]})])

    measured = measure(np.append(labels, 0), np.append(scores, 0.1), 0.5, protected=more)

    assert {group.value: group.recall for group in measured.groups} == {
        "(missing)": 0.5,
        "none found": None,
        "young": 0.5,
    }
