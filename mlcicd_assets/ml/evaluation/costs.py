"""What a wrong answer costs, as the declaration says it, and what answers cost on rows."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from mlcicd_assets.ml.declared import Declaration
from mlcicd_assets.ml.tasks import ClassLabel, Task


class CostError(ValueError):
    """Costs that do not fit the classes; names the class or the pair that is missing."""


class Costs(Declaration):
    """Money per row by truth and answer; a gain is a negative cost."""

    false_positive: float | None = Field(default=None, description="Binary: an alarm for nothing.")
    false_negative: float | None = Field(default=None, description="Binary: a positive without an alarm.")
    true_positive: float = Field(default=0.0, description="Binary: a right alarm; it may cost, or gain.")
    true_negative: float = Field(default=0.0, description="Binary: no alarm, rightly.")
    matrix: dict[ClassLabel, dict[ClassLabel, float]] | None = Field(
        default=None, description="Multiclass: {truth: {answer: cost}}; a right answer costs 0 unless listed."
    )
    otherwise: float | None = Field(
        default=None, description="Multiclass: what a wrong answer costs that `matrix` does not list."
    )
    currency: str = Field(default="", description="For people: 'EUR'.")

    @field_validator("false_positive", "false_negative", "true_positive", "true_negative", "otherwise")
    @classmethod
    def _finite(cls, cost: float | None) -> float | None:
        if cost is not None and not math.isfinite(cost):
            raise ValueError(f"a cost is a finite number, not {cost}")
        return cost

    @field_validator("matrix")
    @classmethod
    def _finite_matrix(
        cls, matrix: dict[ClassLabel, dict[ClassLabel, float]] | None
    ) -> dict[ClassLabel, dict[ClassLabel, float]] | None:
        for truth, answers in (matrix or {}).items():
            for answer, cost in answers.items():
                if not math.isfinite(cost):
                    raise ValueError(
                        f"a cost is a finite number, not {cost} (truth {truth}, answer {answer})"
                    )
        return matrix

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.many:
            if self.false_positive is not None or self.false_negative is not None:
                raise ValueError("costs have false_positive and false_negative, or matrix, not both")
        elif self.false_positive is None or self.false_negative is None:
            raise ValueError("costs need false_positive and false_negative, or, for many classes, matrix")
        return self

    @property
    def many(self) -> bool:
        """Whether they are about more than positive and negative."""
        return self.matrix is not None or self.otherwise is not None

    def problem(self, task: Task) -> str:
        """Why these costs are none for the task; empty when they fit."""
        if task == "regression":
            return "costs are about classes: a regression model has none"
        if (task == "multiclass") != self.many:
            wanted = "matrix (and otherwise)" if task == "multiclass" else "false_positive and false_negative"
            return f"costs of a {task} model have {wanted}"
        return ""


def cost_matrix(costs: Costs, classes: Sequence[ClassLabel]) -> np.ndarray:
    """Cost by truth (row) and answer (column), in the order of `classes`; raises CostError."""
    if not costs.many:
        return np.array(
            [[costs.true_negative, costs.false_positive], [costs.false_negative, costs.true_positive]],
            dtype=np.float64,
        )
    named = {str(name): index for index, name in enumerate(classes)}
    matrix = np.full((len(classes), len(classes)), math.nan if costs.otherwise is None else costs.otherwise)
    np.fill_diagonal(matrix, 0.0)
    for truth, answers in (costs.matrix or {}).items():
        for answer, cost in answers.items():
            for name in (truth, answer):
                if str(name) not in named:
                    raise CostError(f"costs name the class {name!r}; the classes are {', '.join(named)}")
            matrix[named[str(truth)], named[str(answer)]] = cost
    missing = np.argwhere(np.isnan(matrix))
    if len(missing):
        truth, answer = (classes[index] for index in missing[0])
        raise CostError(f"costs list nothing for truth {truth!r} and answer {answer!r}; declare 'otherwise'")
    return matrix


def row_costs(matrix: np.ndarray, truth: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """What each row's answer costs; both are indices of classes (binary: 0 and 1)."""
    costs: np.ndarray = matrix[truth, answers]
    return costs
