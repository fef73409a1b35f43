"""What a model's answers are held against: its task, its classes, its threshold and its costs.

`Target` turns labels and predictions of any task into arrays, and arrays into metrics, so that whoever
resamples, slices or disturbs a holdout need not ask what the task is:

    truth = target.truth(labels)                       # [n]
    scores = target.scores(scorer.predict(records))    # [n] or, multiclass, [n, classes]
    target.measure(truth, scores).metrics              # the names of metrics_of(target.task)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Signature
from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.ml.evaluation.costs import CostError, Costs, cost_matrix, row_costs
from mlcicd_assets.ml.evaluation.metrics import Measured, measure, metrics_of
from mlcicd_assets.ml.evaluation.metrics_multiclass import multiclass_metrics
from mlcicd_assets.ml.evaluation.metrics_regression import regression_metrics
from mlcicd_assets.ml.tasks import ClassLabel, Task

# Fewer rows than this are an anecdote: metrics are still given, and the evaluation says so.
FEW_ROWS = 100


class TargetError(ValueError):
    """Labels that do not fit the model; names what was found and what is expected."""


@dataclass(frozen=True)
class Target:
    """A task with what it needs to judge; `classes` in the order of the columns of the scores."""

    task: Task
    classes: tuple[ClassLabel, ...] = (0, 1)
    threshold: float = 0.5  # of a binary model
    costs: Costs | None = None

    @classmethod
    def of(cls, signature: Signature, costs: Costs | None = None) -> Self:
        """What a package promises."""
        return cls(signature.task, tuple(signature.classes), signature.threshold or 0.5, costs)

    def among(self, labels: pl.Series) -> Self:
        """The same, where the labels of a holdout have classes that were never learned: those come last."""
        if self.task != "multiclass":
            return self
        new = [name for name in labels.unique().sort().to_list() if name is not None]
        return replace(self, classes=(*self.classes, *(name for name in new if name not in self.classes)))

    def truth(self, labels: pl.Series) -> np.ndarray:
        """Labels as numbers: 0 and 1, the index of the class, or the value; raises TargetError."""
        if labels.null_count():
            raise TargetError(f"{labels.null_count()} labels are missing")
        if self.task == "regression":
            return self._values(labels)
        kind = pl.String if isinstance(self.classes[0], str) else pl.Int64
        if (labels.dtype == pl.String) != (kind == pl.String):
            raise TargetError(
                f"labels are {labels.dtype}, but the model learned {kind.__name__} classes: the label's type "
                "has changed; correct the source, and train again"
            )
        return self._indices(labels.cast(kind))

    def _values(self, labels: pl.Series) -> np.ndarray:
        if not labels.dtype.is_numeric():
            raise TargetError(f"labels are {labels.dtype}, but the model learned numbers")
        values = labels.cast(pl.Float64).to_numpy()
        if not np.isfinite(values).all():
            raise TargetError("a label is no finite number")
        return values

    def _indices(self, labels: pl.Series) -> np.ndarray:
        known = {name: index for index, name in enumerate(self.classes)}
        unknown = [name for name in labels.unique().to_list() if name not in known]
        if unknown:
            raise TargetError(
                f"labels are among {', '.join(map(str, self.classes))}, not {sorted(unknown)[:5]}"
            )
        return labels.replace_strict(known, return_dtype=pl.Int64).to_numpy()

    def scores(self, predictions: Predictions, classes: Sequence[ClassLabel] | None = None) -> np.ndarray:
        """The positive class's probability [n], all probabilities [n, classes], or the values [n].

        `classes` are the model's own where they differ from the target's: a class that the model does not
        know has the probability 0, and what it gives to classes beyond the target's comes in further columns.
        """
        if self.task == "regression":
            return predictions.values
        probabilities = predictions.probabilities
        own = list(classes if classes is not None else self.classes[: probabilities.shape[1]])
        if self.task == "binary":
            positive: np.ndarray = probabilities[:, own.index(1)]
            return positive
        return _aligned(probabilities, own, self.classes)

    def answers(self, scores: np.ndarray) -> np.ndarray:
        """What the model says: alarms 0 and 1, the index of the likeliest class, or the value."""
        if self.task == "binary":
            return (scores >= self.threshold).astype(np.int64)
        return scores.argmax(axis=1) if self.task == "multiclass" else scores

    def measure(
        self, truth: np.ndarray, scores: np.ndarray, *, protected: pl.DataFrame | None = None
    ) -> Measured:
        """Every metric of the task, in the order of `metrics_of`; None where it is undefined."""
        notes = self.notes(truth)
        if len(truth) == 0 or not np.isfinite(scores).all():
            lost = "a score is no number" if len(truth) else "there are no rows"
            return Measured(dict.fromkeys(metrics_of(self.task)), [], [*notes, lost])
        measured = self._measured(truth, scores, protected)
        cost, problem = self._cost(truth, scores)
        found = {**measured.metrics, "expected_cost": cost}
        metrics = {name: _number(found[name]) for name in metrics_of(self.task)}
        return Measured(metrics, measured.groups, [*notes, *([problem] if problem else [])])

    def _measured(self, truth: np.ndarray, scores: np.ndarray, protected: pl.DataFrame | None) -> Measured:
        if self.task == "binary":
            return measure(truth, scores, self.threshold, protected=protected)
        if self.task == "multiclass":
            return Measured(multiclass_metrics(truth, scores.astype(np.float64), len(self.classes)), [])
        return Measured(regression_metrics(truth, scores.astype(np.float64)), [])

    def _cost(self, truth: np.ndarray, scores: np.ndarray) -> tuple[float | None, str]:
        try:
            costs = self.cost_per_row(truth, scores)
        except CostError as error:
            return None, str(error)
        return (None if costs is None else float(costs.mean())), ""

    def cost_per_row(self, truth: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
        """What each row's answer costs; None without declared costs. Raises CostError."""
        if self.costs is None or self.task == "regression":
            return None
        answers = self.answers(scores)
        if (answers >= len(self.classes)).any():
            raise CostError("an answer is a class that has no cost, for only this model knows it")
        return row_costs(cost_matrix(self.costs, self.classes), truth, answers)

    def notes(self, truth: np.ndarray) -> list[str]:
        """What is odd about a holdout, in words: few rows, one class or value only, a class without rows."""
        odd = [f"the holdout has {len(truth)} rows only"] if len(truth) < FEW_ROWS else []
        if self.task == "regression":
            same = len(truth) > 0 and float(np.ptp(truth)) == 0.0
            return [*odd, *([f"every true value is {truth[0]:g}"] if same else [])]
        present = set(np.unique(truth).tolist())
        absent = [str(name) for index, name in enumerate(self.classes) if index not in present]
        if absent:
            odd.append(f"the holdout has no row of class {', '.join(absent)}")
        return odd


def _aligned(
    probabilities: np.ndarray, own: Sequence[ClassLabel], wanted: Sequence[ClassLabel]
) -> np.ndarray:
    if list(own) == list(wanted):
        return probabilities
    columns = [
        probabilities[:, own.index(name)]
        if name in own
        else np.zeros(len(probabilities), probabilities.dtype)
        for name in wanted
    ]
    columns += [probabilities[:, index] for index, name in enumerate(own) if name not in wanted]
    return np.stack(columns, axis=1)


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
