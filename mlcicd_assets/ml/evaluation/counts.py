"""Metrics of decisions by counts: all resamples at once, drawn from how often both models decide what.

Rows matter only by their class and the two models' decisions, so a resample is one multinomial draw of those
counts for each class, and exact.
"""

import math

import numpy as np


def confusion_draws(
    truth: np.ndarray,
    mine: np.ndarray,
    theirs: np.ndarray | None,
    *,
    classes: int,
    answers: int,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Confusion matrices [resamples, classes, answers] of both models in the same resamples.

    Truth is 0 … classes-1, answers 0 … answers-1 (at least as many). Without `theirs` both are the same.
    """
    random = np.random.default_rng(seed)
    other = mine if theirs is None else theirs
    first = np.zeros((resamples, classes, answers), dtype=np.int64)
    second = np.zeros_like(first)
    for k in range(classes):
        rows = truth == k
        cells, counts = np.unique(mine[rows] * answers + other[rows], return_counts=True)
        if not len(cells):
            continue
        drawn = random.multinomial(counts.sum(), counts / counts.sum(), size=resamples)
        for cell, column in zip(cells, drawn.T, strict=True):
            first[:, k, cell // answers] += column
            second[:, k, cell % answers] += column
    return first, second


def decision_metrics(confusion: np.ndarray, *, binary: bool) -> dict[str, np.ndarray]:
    """Metrics of confusion matrices [..., classes, answers]; NaN where one is undefined.

    Of a binary model precision, recall and F1 are those of class 1. Of many classes, means are over the
    classes for which the metric is defined, as in `metrics_multiclass`.
    """
    classes = confusion.shape[-2]
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    actual, decided = confusion.sum(axis=-1), confusion.sum(axis=-2)[..., :classes]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, f1 = right / actual, 2 * right / (actual + decided)
        precision = right / decided
    found = {"accuracy": right.sum(axis=-1) / actual.sum(axis=-1), "balanced_accuracy": _mean(recall)}
    if binary:
        return {**found, "precision": precision[..., 1], "recall": recall[..., 1], "f1": f1[..., 1]}
    weighted = np.nansum(f1 * actual, axis=-1) / actual.sum(axis=-1)
    return {**found, "f1_macro": _mean(f1), "f1_weighted": weighted}


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return mean


def mcnemar(mine_right: np.ndarray, theirs_right: np.ndarray) -> float:
    """Exact two-sided p-value that both are right equally often: a binomial test of the rows they differ on.

    McNemar, "Note on the sampling error of the difference between correlated proportions" (1947).
    """
    gained = int((mine_right & ~theirs_right).sum())
    lost = int((~mine_right & theirs_right).sum())
    total = gained + lost
    if total == 0:
        return 1.0
    whole = math.lgamma(total + 1) - total * math.log(2)
    tail = (
        math.exp(whole - math.lgamma(i + 1) - math.lgamma(total - i + 1))
        for i in range(min(gained, lost) + 1)
    )
    return min(1.0, 2 * math.fsum(tail))
