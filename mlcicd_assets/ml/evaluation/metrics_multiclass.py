"""The metrics of one class among many; truth and answers are indices of classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlcicd_assets.ml.evaluation.calibration import calibration_error, top_label

# name -> whether more is better; scikit-learn's names
MULTICLASS_METRICS: Mapping[str, bool] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "f1_macro": True,
    "f1_weighted": True,
    "roc_auc_ovr": True,
    "top_3_accuracy": True,
    "top_5_accuracy": True,
    "log_loss": False,
    "brier": False,
    "ece": False,
    "expected_cost": False,
}
# A probability of zero for what happened costs this many nats at most (scikit-learn's bound for float64).
_SMALLEST = float(np.finfo(np.float64).eps)


def multiclass_metrics(truth: np.ndarray, probabilities: np.ndarray, classes: int) -> dict[str, float | None]:
    """All but the cost, for `truth` in 0 … `classes` - 1 and `probabilities` [n, at least classes].

    Columns beyond `classes` belong to classes that only the model knows: an answer there is wrong. The macro
    metrics are over the classes that the holdout has; `roc_auc_ovr` is None unless it has all of them, and a
    top-k accuracy where there are not more than k classes.
    """
    answers = probabilities.argmax(axis=1)
    right, confidence = top_label(probabilities, truth)
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": _balanced_accuracy(truth, right, classes),
        **_f1(truth, answers, classes),
        "roc_auc_ovr": _roc_auc(truth, probabilities, classes),
        "top_3_accuracy": _top(truth, probabilities, 3),
        "top_5_accuracy": _top(truth, probabilities, 5),
        **_probabilistic(truth, probabilities),
        "ece": calibration_error(right, confidence),
    }


def _balanced_accuracy(truth: np.ndarray, right: np.ndarray, classes: int) -> float | None:
    rows = np.bincount(truth, minlength=classes)
    seen = rows > 0
    if seen.sum() < 2:
        return None
    return float((np.bincount(truth, weights=right, minlength=classes)[seen] / rows[seen]).mean())


def _f1(truth: np.ndarray, answers: np.ndarray, classes: int) -> dict[str, float | None]:
    from sklearn.metrics import f1_score

    # Not a number where a class neither occurs nor is answered: left out of the mean.
    options: dict[str, Any] = {"labels": list(range(classes)), "zero_division": np.nan}
    return {
        "f1_macro": float(f1_score(truth, answers, average="macro", **options)),
        "f1_weighted": float(f1_score(truth, answers, average="weighted", **options)),
    }


def _roc_auc(truth: np.ndarray, probabilities: np.ndarray, classes: int) -> float | None:
    from sklearn.metrics import roc_auc_score

    if len(np.unique(truth)) < classes:
        return None
    areas = [roc_auc_score(truth == index, probabilities[:, index]) for index in range(classes)]
    return float(np.mean(areas))


def _top(truth: np.ndarray, probabilities: np.ndarray, k: int) -> float | None:
    if probabilities.shape[1] <= k:
        return None
    own = probabilities[np.arange(len(truth)), truth][:, None]
    above, tied = (probabilities > own).sum(axis=1), (probabilities == own).sum(axis=1)
    # Classes that tie with the truth at the border are picked by chance.
    return float(((k - above) / tied).clip(0.0, 1.0).mean())


def _probabilistic(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float | None]:
    if probabilities.min() < 0 or probabilities.max() > 1:
        return {"log_loss": None, "brier": None}
    own = probabilities[np.arange(len(truth)), truth]
    return {
        "log_loss": float(-np.log(own.clip(_SMALLEST, 1.0)).mean()),
        # Brier's own definition, over all classes: from 0 to 2.
        "brier": float(((probabilities**2).sum(axis=1) - 2 * own + 1).mean()),
    }
