"""The metrics of a number."""

from collections.abc import Mapping

import numpy as np

# name -> whether more is better
REGRESSION_METRICS: Mapping[str, bool] = {
    "rmse": False,
    "mae": False,
    "median_absolute_error": False,
    "mape": False,
    "r2": True,
}


def regression_metrics(truth: np.ndarray, values: np.ndarray) -> dict[str, float | None]:
    """All of them; `mape` is None where a true value is 0, `r2` where all true values are the same."""
    errors = np.abs(values - truth)
    spread = float(((truth - truth.mean()) ** 2).mean())
    squared = float((errors**2).mean())
    return {
        "rmse": float(np.sqrt(squared)),
        "mae": float(errors.mean()),
        "median_absolute_error": float(np.median(errors)),
        "mape": float((errors / np.abs(truth)).mean()) if (truth != 0).all() else None,
        "r2": 1 - squared / spread if np.ptp(truth) > 0 and spread > 0 else None,
    }
