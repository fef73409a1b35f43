"""A metric of a slice, with its interval where that has a closed form."""

import numpy as np

from mlcicd_assets.ml.evaluation.bootstrap import Ranked
from mlcicd_assets.ml.evaluation.delong import components, standard_error
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.proportions import critical, wilson
from mlcicd_assets.ml.evaluation.target import Target

# The smallest probability that a loss is taken of: one sure and wrong row must not drown all others.
_SMALLEST = 1e-6


class SliceMetric(Evidence):
    """A metric on a slice; None where its rows do not define it, no limits where there is no closed form."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def row_losses(target: Target, truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What each row loses: the log loss of a probability, the squared error of a number."""
    if target.task == "regression":
        squares: np.ndarray = (truth - scores).astype(np.float64) ** 2
        return squares
    if target.task == "binary":
        likely = np.where(truth == 1, scores, 1 - scores)
    else:
        likely = scores[np.arange(len(truth)), truth]
    losses: np.ndarray = -np.log(np.clip(likely.astype(np.float64), _SMALLEST, 1.0))
    return losses


def slice_metric(
    target: Target, truth: np.ndarray, scores: np.ndarray, name: str, *, confidence: float = 0.95
) -> SliceMetric:
    """One metric of the task on some rows, as `Target.measure` defines it."""
    z = critical(confidence)
    share = _shares(target, truth, scores).get(name)
    if share is not None:
        return _share(*share, z)
    if name == "roc_auc" and target.task == "binary":
        return _area(truth, scores, z)
    if name == "average_precision" and target.task == "binary":
        return _precision(truth, scores)
    # All metrics for one: scikit-learn takes its time, so the common ones are above.
    return SliceMetric(value=target.measure(truth, scores).metrics.get(name))


def _precision(truth: np.ndarray, scores: np.ndarray) -> SliceMetric:
    if truth.min(initial=1) == truth.max(initial=0):
        return SliceMetric()
    once = np.ones((1, len(truth)), dtype=np.uint8)
    return SliceMetric(value=float(Ranked(truth == 1, scores, []).draw(once)[0, 0]))


def _shares(target: Target, truth: np.ndarray, scores: np.ndarray) -> dict[str, tuple[int, int]]:
    """Metrics that are a share of rows: (right ones, of so many)."""
    if target.task == "regression":
        return {}
    answers = target.answers(scores)
    shares = {"accuracy": (int((answers == truth).sum()), len(truth))}
    if target.task == "binary":
        hits = int(((answers == 1) & (truth == 1)).sum())
        shares["recall"] = (hits, int((truth == 1).sum()))
        shares["precision"] = (hits, int((answers == 1).sum()))
    return shares


def _share(right: int, of: int, z: float) -> SliceMetric:
    if of == 0:
        return SliceMetric(value=None)
    found = wilson(right, of, z)
    return SliceMetric(value=found.value, low=found.low, high=found.high)


def _area(truth: np.ndarray, scores: np.ndarray, z: float) -> SliceMetric:
    ones = int(truth.sum())
    if min(ones, len(truth) - ones) < 2:
        return SliceMetric(value=None)
    parts = components(truth, scores)
    area = float(parts[truth == 1].sum())
    half = z * standard_error(truth, parts)
    return SliceMetric(value=area, low=max(0.0, area - half), high=min(1.0, area + half))
