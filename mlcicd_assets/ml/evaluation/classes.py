"""How a multiclass model does on each class."""

from collections.abc import Sequence

import numpy as np

from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.tasks import ClassLabel


class ClassResult(Evidence):
    """One class on the holdout; a rate is None where there is nothing to take it of."""

    name: str
    rows: int
    answered: int  # rows that the model put into this class
    recall: float | None
    precision: float | None
    learned: bool = True  # whether the training window had it


def class_results(
    truth: np.ndarray, scores: np.ndarray, classes: Sequence[ClassLabel], *, learned: int
) -> list[ClassResult]:
    """One result per class; the first `learned` of them are those of the model."""
    answers = scores.argmax(axis=1)
    rows, answered = (np.bincount(of, minlength=len(classes)) for of in (truth, answers))
    right = np.bincount(truth[truth == answers], minlength=len(classes))
    return [
        ClassResult(
            name=str(name),
            rows=int(rows[index]),
            answered=int(answered[index]),
            recall=float(right[index] / rows[index]) if rows[index] else None,
            precision=float(right[index] / answered[index]) if answered[index] else None,
            learned=index < learned,
        )
        for index, name in enumerate(classes)
    ]


def confusion_matrix(truth: np.ndarray, scores: np.ndarray, classes: int) -> list[list[int]]:
    """Rows of the holdout by truth (down) and answer (across)."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (truth, scores.argmax(axis=1)), 1)
    return [[int(count) for count in row] for row in matrix]
