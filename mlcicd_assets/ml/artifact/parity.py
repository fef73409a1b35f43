"""Does what will be served answer as what was trained? The package against scikit-learn, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

# ONNX computes in float32 and sums trees in another order: differences near 1e-7 are normal. 1e-4 is a
# thousand times that, and still far below any difference that a threshold or a rank would show; what exceeds
# it is another model (a wrongly converted step, a category read differently), never rounding.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Parity:
    """How far two sets of scores of the same rows are apart."""

    rows: int
    max_difference: float  # largest difference of a probability, or of a value in units of their spread
    label_flips: int  # rows whose class (at the threshold, or the likeliest) differs; 0 of a regression


class AlignmentError(ValueError):
    """Two tables that do not describe the same rows; says which keys are missing or double."""


def compare_scores(served: np.ndarray, trained: np.ndarray, threshold: float | None = None) -> Parity:
    """Compare scores of the same rows; NaN on either side makes the difference NaN.

    Positive-class probabilities [n] come with the `threshold`; without it they are the probabilities
    [n, classes] of many classes, or the values [n] of a regression.
    """
    if served.shape != trained.shape:
        raise AlignmentError(
            f"there are {len(served)} served and {len(trained)} trained scores; give the same rows"
        )
    difference = np.abs(served.astype(np.float64) - trained.astype(np.float64))
    largest = float(difference.max(initial=0.0))
    if threshold is not None:
        flips = (served >= threshold) != (trained >= threshold)
        return Parity(len(served), largest, int(flips.sum()))
    if served.ndim == 2:
        return Parity(len(served), largest, int((served.argmax(axis=1) != trained.argmax(axis=1)).sum()))
    return Parity(len(served), largest / _spread(trained), 0)


def _spread(values: np.ndarray) -> float:
    # A hundredth of the values' own size at least: float32 tells no smaller differences of them apart.
    known = values.astype(np.float64)
    size = float(np.abs(known).mean()) if len(known) else 0.0
    spread = float(known.std()) if len(known) else 0.0
    return max(spread, size / 100, float(np.finfo(np.float32).tiny))


def align(
    records: pl.DataFrame, table: pl.DataFrame, keys: Sequence[str], *, prefix: str = "_"
) -> pl.DataFrame:
    """Rows of a features `table` in the order of the raw `records`, matched by keys (`_key` in the table).

    Raises AlignmentError unless every record has exactly one row.
    """
    mine = records.select(pl.col(key).alias(f"{prefix}{key}") for key in keys)
    named = mine.columns
    if not keys or table.select(named).is_duplicated().any() or mine.is_duplicated().any():
        raise AlignmentError(
            f"the keys {', '.join(keys) or '(none)'} do not identify a row; declare keys that do"
        )
    matched = mine.join(
        table.with_columns(__found=True), on=named, how="left", maintain_order="left", nulls_equal=True
    )
    lost = matched["__found"].null_count()
    if lost:
        raise AlignmentError(
            f"{lost} of {records.height} records have no features; materialize the features again"
        )
    return matched.drop("__found")
