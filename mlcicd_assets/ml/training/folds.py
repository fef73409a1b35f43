"""Validation inside the training window: always on rows that are newer than those learned from."""

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Fold:
    """Of rows in order of time: learn from all before `start`, validate from there up to `end`."""

    start: int
    end: int


def forward_folds(rows: int, folds: int, share: float) -> list[Fold]:
    """Cut the newest `share` of the rows into consecutive folds; raises ValueError where one is empty."""
    first = rows - round(rows * share)
    edges = [first + round((rows - first) * number / folds) for number in range(folds + 1)]
    if first < 1 or any(start == end for start, end in pairwise(edges)):
        raise ValueError(
            f"{rows} rows cannot be cut into {folds} folds of the newest {share:.0%}; "
            "declare fewer folds, or a longer training window"
        )
    return [Fold(start, end) for start, end in pairwise(edges)]
