"""Variance of ROC AUC, and of the difference of two on the same rows, in closed form.

DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
characteristic curves" (1988), by midranks as in Sun and Xu (2014). The macro average of one-versus-rest AUCs
is a mean of such statistics, so its variance follows from the same row-wise components, class by class.
"""

import numpy as np


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 on; ties share their mean rank."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    sizes = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return ranks


def placements(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Each row's placement value, [rows]: the share of the other class that it is ranked right against."""
    among_all = midranks(scores)
    values = np.empty(len(scores))
    ones, zeros = int(positive.sum()), int((~positive).sum())
    values[positive] = (among_all[positive] - midranks(scores[positive])) / zeros
    values[~positive] = 1.0 - (among_all[~positive] - midranks(scores[~positive])) / ones
    return values


def components(classes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What each row adds to the macro average of one-versus-rest AUCs; the sum over a class is its share.

    `classes` are 0 … K-1; `probabilities` [rows, K], or [rows] for the score of class 1 of two.
    """
    if probabilities.ndim == 1:
        return _scaled(classes == 1, probabilities)
    count = probabilities.shape[1]
    parts = [_scaled(classes == k, probabilities[:, k]) for k in range(count)]
    total: np.ndarray = np.sum(parts, axis=0) / count
    return total


def _scaled(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    ones, zeros = int(positive.sum()), int((~positive).sum())
    values: np.ndarray = placements(positive, scores) / np.where(positive, ones, zeros)
    return values


def standard_error(classes: np.ndarray, contributions: np.ndarray) -> float:
    """Standard error of a statistic from its rows' contributions, class by class; needs two rows of each."""
    variance = 0.0
    for k in np.unique(classes):
        part = contributions[classes == k]
        variance += len(part) * float(np.var(part, ddof=1))
    return float(np.sqrt(variance))
