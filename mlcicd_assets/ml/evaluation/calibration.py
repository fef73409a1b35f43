"""Do scores mean what they say? The expected calibration error."""

import numpy as np

BINS = 10


def calibration_error(outcomes: np.ndarray, scores: np.ndarray) -> float:
    """The mean distance between score and share of outcomes, over BINS bins of about equal size, by rows.

    `outcomes` are 0 and 1. Bins of equal size, for with rare positives nearly all scores lie in one bin of
    equal width; rows that tie share a bin, so that the order of rows is immaterial. Naeini et al., "Obtaining
    Well Calibrated Probabilities Using Bayesian Binning" (2015); equal sizes: Nixon et al. (2019).
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, scores, side="right")
    gaps = np.bincount(bins, weights=scores - outcomes)
    return float(np.abs(gaps).sum() / len(scores))


def top_label(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For many classes: whether the likeliest class was right, and the probability it was given."""
    predicted = probabilities.argmax(axis=1)
    return (predicted == truth).astype(np.int64), probabilities.max(axis=1)
