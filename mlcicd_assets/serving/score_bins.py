"""Predicted rows by bin: the same bins for every version, so that two versions can be compared.

Binary: the score of class 1 in twentieths, by upper bound ("0.05" … "1.00"). Multiclass: the predicted class.
Regression: the value in five steps per power of ten on either side of zero ("-1.58" … "0" … "25.1"), by the
bound that is farther from zero; what is nearer to zero than a thousandth counts as "0".
"""

from collections.abc import Mapping

import numpy as np

from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.ml.tasks import Task

_TWENTIETHS = [f"{(place + 1) / 20:.2f}" for place in range(20)]
_STEPS = 5
_SMALLEST, _LARGEST = -3, 12  # powers of ten; beyond the largest, all is one bin


def binned(predictions: Predictions, task: Task) -> Mapping[str, int]:
    """How many rows fell into each bin; bins without rows are left out."""
    if task == "regression":
        return _counted([_magnitude(float(value)) for value in predictions.values])
    if task == "multiclass":
        return _counted([str(label) for label in predictions.labels.tolist()])
    places = np.minimum((predictions.probabilities[:, 1] * 20).astype(int), 19)
    return _counted([_TWENTIETHS[place] for place in places.tolist()])


def _counted(names: list[str]) -> dict[str, int]:
    if len(names) == 1:
        return {names[0]: 1}
    found, counts = np.unique(names, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _magnitude(value: float) -> str:
    size = abs(value)
    if size < 10.0**_SMALLEST:
        return "0"
    step = min(int(np.ceil(np.log10(size) * _STEPS)), _LARGEST * _STEPS)
    return f"{'-' if value < 0 else ''}{10 ** (step / _STEPS):.3g}"
