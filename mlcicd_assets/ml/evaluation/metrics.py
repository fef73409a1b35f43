"""The metrics a gate may name, and how each is computed. No scikit-learn until one is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.evaluation.calibration import calibration_error
from mlcicd_assets.ml.evaluation.group_rates import MISSING, measure_groups
from mlcicd_assets.ml.evaluation.metrics_multiclass import MULTICLASS_METRICS
from mlcicd_assets.ml.evaluation.metrics_regression import REGRESSION_METRICS
from mlcicd_assets.ml.evaluation.plans import MIN_GROUP
from mlcicd_assets.ml.tasks import TASKS, Task

# Of a binary model: name -> whether more is better
METRICS: dict[str, bool] = {
    "roc_auc": True,
    "average_precision": True,
    "accuracy": True,
    "balanced_accuracy": True,
    "precision": True,
    "recall": True,
    "f1": True,
    "recall_at_1pct_alerts": True,
    "recall_at_5pct_alerts": True,
    "recall_at_10pct_alerts": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "expected_cost": False,
    "equal_opportunity_gap": False,
}
_BY_TASK: Mapping[Task, Mapping[str, bool]] = {
    "binary": METRICS,
    "multiclass": MULTICLASS_METRICS,
    "regression": REGRESSION_METRICS,
}
# Resamples of them are biased (bins, medians, groups), so no interval is claimed for them.
WITHOUT_INTERVAL = frozenset({"ece", "equal_opportunity_gap", "median_absolute_error"})

# Of positives, from which a group's recall counts where nothing else is declared.
MIN_GROUP_POSITIVES = MIN_GROUP
RECALL = "true_positive_rate"


def metrics_of(task: Task) -> Mapping[str, bool]:
    """The metrics of a task: name -> whether more is better; a name means the same direction everywhere."""
    return _BY_TASK[task]


def comparable_metrics(task: Task) -> dict[str, bool]:
    """The metrics that a champion can be compared on: those that have an interval."""
    return {name: more for name, more in metrics_of(task).items() if name not in WITHOUT_INTERVAL}


def all_metrics() -> dict[str, bool]:
    """The metrics of every task."""
    return {name: better for task in TASKS for name, better in _BY_TASK[task].items()}


@dataclass(frozen=True)
class Group:
    """One value of a protected column on the holdout."""

    column: str
    value: str
    rows: int
    positives: int
    recall: float | None  # true-positive rate at the model's threshold; None without positives
    counted: bool  # whether it has MIN_GROUP_POSITIVES


@dataclass(frozen=True)
class Measured:
    """Every metric; None where the holdout has no evidence for it, and `notes` on why."""

    metrics: dict[str, float | None]
    groups: list[Group]
    notes: list[str] = field(default_factory=list)


def measure(
    labels: np.ndarray, scores: np.ndarray, threshold: float, *, protected: pl.DataFrame | None = None
) -> Measured:
    """Compute all METRICS but the cost for 0/1 `labels` and positive-class `scores` of the same rows.

    A metric is None, never a guess, where it is undefined: ranking metrics with one class only, precision
    without alarms, the equal-opportunity gap without enough positives in at least two groups of each
    `protected` column, and everything when a score is NaN.
    """
    if len(labels) == 0 or not np.isfinite(scores).all():
        return Measured(dict.fromkeys(METRICS), [])
    truth, values = labels.astype(np.int64), scores.astype(np.float64)
    alarms = (scores >= threshold).astype(np.int64)
    groups = group_recalls(truth, alarms, protected) if protected is not None else []
    columns = protected.columns if protected is not None else []
    metrics: dict[str, float | None] = {
        **_ranking(truth, values),
        **_at_threshold(truth, alarms),
        **_probabilistic(truth, values),
        "expected_cost": None,
        "equal_opportunity_gap": equal_opportunity_gap(groups, columns),
    }
    return Measured({name: _number(metrics[name]) for name in METRICS}, groups)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _ranking(truth: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    names = ["roc_auc", "average_precision"]
    shares = {"recall_at_1pct_alerts": 0.01, "recall_at_5pct_alerts": 0.05, "recall_at_10pct_alerts": 0.10}
    if truth.min() == truth.max():
        return dict.fromkeys([*names, *shares])
    return {
        "roc_auc": float(roc_auc_score(truth, scores)),
        "average_precision": float(average_precision_score(truth, scores)),
        **{name: recall_at(truth, scores, share) for name, share in shares.items()},
    }


def recall_at(labels: np.ndarray, scores: np.ndarray, share: float) -> float | None:
    """Share of all positives among the `share` of rows with the highest scores (rounded up to a row).

    Rows that tie at the border count by the chance of being picked, so that the order of rows is immaterial.
    None without positives.
    """
    positives = int(labels.sum())
    if positives == 0:
        return None
    alerts = math.ceil(share * len(scores))
    border = np.partition(scores, -alerts)[-alerts]
    above, tied = scores > border, scores == border
    chance = (alerts - int(above.sum())) / int(tied.sum())
    return float((labels[above].sum() + chance * labels[tied].sum()) / positives)


def _at_threshold(truth: np.ndarray, alarms: np.ndarray) -> dict[str, float | None]:
    from sklearn.metrics import f1_score, precision_score, recall_score

    undefined: dict[str, Any] = {"zero_division": np.nan}
    negatives, positives = truth == 0, truth == 1
    rates = [float((alarms[rows] == truth[rows]).mean()) for rows in (negatives, positives) if rows.any()]
    return {
        "accuracy": float((alarms == truth).mean()),
        "balanced_accuracy": sum(rates) / 2 if len(rates) == 2 else None,
        "precision": float(precision_score(truth, alarms, **undefined)),
        "recall": float(recall_score(truth, alarms, **undefined)),
        "f1": float(f1_score(truth, alarms, **undefined)),
    }


def _probabilistic(truth: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    from sklearn.metrics import brier_score_loss, log_loss

    if scores.min() < 0 or scores.max() > 1:
        return {"log_loss": None, "brier": None, "ece": None}
    return {
        "log_loss": float(log_loss(truth, scores, labels=[0, 1])),
        "brier": float(brier_score_loss(truth, scores, pos_label=1)),
        "ece": calibration_error(truth, scores),
    }


def group_recalls(labels: np.ndarray, alarms: np.ndarray, protected: pl.DataFrame) -> list[Group]:
    """Recall by group, for each protected column, by Fairlearn's MetricFrame; null is a group of its own."""
    return [group for name in protected.columns for group in _groups(labels, alarms, protected[name])]


def _groups(labels: np.ndarray, alarms: np.ndarray, column: pl.Series) -> list[Group]:
    texts = column.cast(pl.String).fill_null(MISSING)
    return [
        Group(
            column.name,
            group.value,
            group.rows,
            group.positives,
            group.rates[RECALL].value if RECALL in group.rates else None,
            group.enough(RECALL, MIN_GROUP_POSITIVES),
        )
        for group in measure_groups(labels, alarms, texts, "binary")
    ]


def equal_opportunity_gap(groups: Sequence[Group], columns: Sequence[str]) -> float | None:
    """The largest difference of recall between counted groups of one column, over all protected columns.

    None when there is no protected column, or when one has fewer than two groups that count: a gap that was
    not measured must not pass a gate. Hardt et al., "Equality of Opportunity in Supervised Learning" (2016).
    """
    gaps = []
    for column in columns:
        recalls = [g.recall for g in groups if g.column == column and g.counted and g.recall is not None]
        if len(recalls) < 2:
            return None
        gaps.append(max(recalls) - min(recalls))
    return max(gaps, default=None)
