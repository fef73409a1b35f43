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
    max_difference: float  # largest absolute difference of a probability
    label_flips: int  # rows whose class at the threshold differs


class AlignmentError(ValueError):
    """Two tables that do not describe the same rows; says which keys are missing or double."""


def compare_scores(served: np.ndarray, trained: np.ndarray, threshold: float) -> Parity:
    """Compare positive-class probabilities of the same rows; NaN on either side makes the difference NaN."""
    if served.shape != trained.shape:
        raise AlignmentError(
            f"there are {len(served)} served and {len(trained)} trained scores; give the same rows"
        )
    difference = np.abs(served.astype(np.float64) - trained.astype(np.float64))
    flips = (served >= threshold) != (trained >= threshold)
    return Parity(len(served), float(difference.max(initial=0.0)), int(flips.sum()))


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
