"""What a picture of the holdout needs, thinned: curves, calibration, confusion and score distribution."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from mlcicd_assets.ml.evaluation.calibration import top_label
from mlcicd_assets.ml.tasks import Task

# More points change no picture, and bloat the record.
MAX_POINTS = 200
CALIBRATION_BINS = 10
SCORE_BINS = 20


class Shape(BaseModel):
    """Plain numbers, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Curve(Shape):
    """Points from left to right."""

    x: list[float] = []
    y: list[float] = []


class Confusion(Shape):
    """Rows by truth and alarm at the model's threshold."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int


class CalibrationBin(Shape):
    """Rows of similar score: the mean score and the share of positives."""

    predicted: float
    observed: float
    rows: int


class ScoreHistogram(Shape):
    """Rows by score; `edges` has one more value than the counts."""

    edges: list[float] = []
    negatives: list[int] = []
    positives: list[int] = []


class Shapes(Shape):
    """Everything that is drawn of one model; empty what its task does not have."""

    roc: Curve = Curve()  # x: false-positive rate, y: true-positive rate
    precision_recall: Curve = Curve()  # x: recall, y: precision
    calibration: list[CalibrationBin] = []
    histogram: ScoreHistogram = ScoreHistogram()
    predicted: Curve = Curve()  # of a regression: x: value predicted, y: true value, of some rows
    errors: Curve = Curve()  # of a regression: x: predicted minus true value, y: share of rows below it


def confusion(labels: np.ndarray, scores: np.ndarray, threshold: float) -> Confusion:
    """Count rows by truth and alarm; a score that is NaN raises no alarm."""
    alarms = scores >= threshold
    positives = labels == 1
    return Confusion(
        true_negatives=int((~alarms & ~positives).sum()),
        false_positives=int((alarms & ~positives).sum()),
        false_negatives=int((~alarms & positives).sum()),
        true_positives=int((alarms & positives).sum()),
    )


def shapes_of(task: Task, truth: np.ndarray, scores: np.ndarray) -> Shapes:
    """What is drawn of a model of the task, from the arrays of `Target`; empty where a score is NaN."""
    if task == "binary":
        return shapes(truth, scores)
    if len(truth) == 0 or not np.isfinite(scores).all():
        return Shapes()
    if task == "multiclass":
        right, confidence = top_label(scores, truth)
        return Shapes(calibration=_calibration(right, confidence))
    return Shapes(predicted=_some(scores, truth), errors=_distribution(scores - truth))


def _some(x: np.ndarray, y: np.ndarray) -> Curve:
    every = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).astype(np.int64))
    chosen = np.argsort(x, kind="stable")[every]
    return Curve(x=[float(value) for value in x[chosen]], y=[float(value) for value in y[chosen]])


def _distribution(errors: np.ndarray) -> Curve:
    shares = np.linspace(0, 1, min(len(errors), MAX_POINTS))
    return Curve(
        x=[float(value) for value in np.quantile(errors, shares)], y=[float(value) for value in shares]
    )


def shapes(labels: np.ndarray, scores: np.ndarray) -> Shapes:
    """Of a binary model: draw what there is to draw; empty where a class is absent or a score is NaN."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    if len(labels) == 0 or labels.min() == labels.max() or not np.isfinite(scores).all():
        return Shapes()
    false_rate, true_rate, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores, drop_intermediate=True)
    return Shapes(
        roc=thin(false_rate, true_rate),
        precision_recall=thin(recall[::-1], precision[::-1]),
        calibration=_calibration(labels, scores),
        histogram=_histogram(labels, scores),
    )


def thin(x: np.ndarray, y: np.ndarray) -> Curve:
    """At most MAX_POINTS of a curve, evenly along its length, both ends among them."""
    if len(x) > MAX_POINTS:
        steps = np.hypot(np.diff(x), np.diff(y))
        along = np.concatenate([[0.0], np.cumsum(steps)])
        wanted = np.linspace(0.0, along[-1], MAX_POINTS)
        chosen = np.unique(np.searchsorted(along, wanted).clip(0, len(x) - 1))
        x, y = x[chosen], y[chosen]
    return Curve(x=[round(float(value), 6) for value in x], y=[round(float(value), 6) for value in y])


def _calibration(labels: np.ndarray, scores: np.ndarray) -> list[CalibrationBin]:
    order = np.argsort(scores, kind="stable")
    groups = [group for group in np.array_split(order, CALIBRATION_BINS) if len(group)]
    return [
        CalibrationBin(
            predicted=float(scores[rows].mean()), observed=float(labels[rows].mean()), rows=len(rows)
        )
        for rows in groups
    ]


def _histogram(labels: np.ndarray, scores: np.ndarray) -> ScoreHistogram:
    edges = np.linspace(0.0, 1.0, SCORE_BINS + 1)
    inside = scores.clip(0.0, 1.0)
    return ScoreHistogram(
        edges=[round(float(edge), 6) for edge in edges],
        negatives=np.histogram(inside[labels == 0], edges)[0].tolist(),
        positives=np.histogram(inside[labels == 1], edges)[0].tolist(),
    )
