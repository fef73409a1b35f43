"""The labels that an estimator learns: what each task needs of them, and what each row weighs."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import polars as pl

from mlcicd_assets.ml.tasks import ClassLabel, Task

Imbalance = Literal["none", "balanced"]
_SHOWN = 5


class TrainingError(ValueError):
    """An estimator or labels that cannot be trained; says what was found and what to give instead."""


def check_labels(labels: pl.Series, rows: int, task: Task) -> None:
    """Raise TrainingError unless there is a label that the task can learn for each row, and a choice."""
    problem = _problem(labels, task)
    if labels.len() != rows or labels.null_count() or problem:
        wanted = {
            "binary": "a label, 0 or 1, for each row, and both classes",
            "multiclass": "a class, a whole number or text, for each row, and at least two classes",
            "regression": "a finite number for each row, and not the same one",
        }[task]
        raise TrainingError(
            f"training needs {wanted}; there are {rows} rows and {labels.len()} labels "
            f"{problem or f'of which {labels.null_count()} are missing'}"
        )


def _problem(labels: pl.Series, task: Task) -> str:
    if task == "regression":
        return _no_numbers(labels)
    kinds = labels.dtype.is_integer() or (labels.dtype == pl.String and task == "multiclass")
    if not kinds:
        return f"of type {labels.dtype}: the label's kind or type has changed, correct it in the dataset"
    values = labels.unique().sort().to_list()
    fits = values == [0, 1] if task == "binary" else len(values) >= 2
    return "" if fits else f"with the values {values[:_SHOWN]}"


def _no_numbers(labels: pl.Series) -> str:
    if not labels.dtype.is_numeric():
        return f"of type {labels.dtype}: the label's kind or type has changed, correct it in the dataset"
    values = labels.cast(pl.Float64).drop_nulls()
    if not values.is_finite().all():
        return "of which some are NaN or infinite"
    return "" if values.n_unique() >= 2 else f"with the values {values.unique().to_list()}"


def learned_classes(labels: pl.Series, task: Task) -> tuple[ClassLabel, ...]:
    """The classes in the order of the probabilities; none of a regression."""
    return () if task == "regression" else tuple(labels.unique().sort().to_list())


def class_rows(labels: pl.Series, task: Task) -> dict[str, int]:
    """How many rows each class has; empty of a regression."""
    if task == "regression":
        return {}
    counts = labels.value_counts().sort(labels.name)
    return {str(name): rows for name, rows in counts.iter_rows()}


def sample_weights(estimator: Any, labels: np.ndarray, imbalance: Imbalance) -> Mapping[str, np.ndarray]:
    """What `fit` is given so that classes weigh the same: `{"model__sample_weight": ...}`; or nothing.

    Raises TrainingError when the estimator (of a pipeline: its last step) takes no sample_weight.
    """
    if imbalance == "none":
        return {}
    from sklearn.utils.class_weight import compute_sample_weight

    return {_weight_name(estimator): compute_sample_weight("balanced", labels)}


def _weight_name(estimator: Any) -> str:
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import has_fit_parameter

    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return f"{name}__{_weight_name(last)}"
    if not has_fit_parameter(estimator, "sample_weight"):
        raise TrainingError(
            f"'imbalance: balanced' weighs rows, but {type(estimator).__name__} takes no sample_weight in "
            "fit; use an estimator that does, give it class_weight itself, or declare 'imbalance: none'"
        )
    return "sample_weight"
