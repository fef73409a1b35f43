"""Fitting the user's estimator: checked before, seeded, and expressed in ONNX after."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.expression import Expressed, express
from mlcicd_assets.ml.artifact.package import Feature
from mlcicd_assets.ml.data.features import to_pandas
from mlcicd_assets.ml.tasks import ClassLabel, Task
from mlcicd_assets.ml.training.determinism import deterministic
from mlcicd_assets.ml.training.targets import (
    Imbalance,
    TrainingError,
    check_labels,
    class_rows,
    learned_classes,
    sample_weights,
)

__all__ = ["Trained", "TrainingError", "new_estimator", "scores", "to_pandas", "train"]

# Up to this many values (rows × features) one thread fits and predicts. More threads gain little on small
# data, and when another process has the other core their spinning costs a factor: 2 s became 46 s.
_SINGLE_THREADED = 20_000_000
_SAMPLE = 1_000


@dataclass(frozen=True)
class Trained:
    """A fitted estimator, and what it is served by."""

    estimator: Any
    features: list[Feature]
    served: Expressed
    params: Mapping[str, str | int | float | bool | None]
    task: Task = "binary"
    classes: tuple[ClassLabel, ...] = (0, 1)  # in the order of the probabilities; none of a regression
    class_rows: Mapping[str, int] = field(default_factory=dict)  # what was learned from, by class


def new_estimator(function: Callable[[], Any], task: Task = "binary") -> Any:
    """Call the user's `estimator()`; raises TrainingError unless it returns an unfitted one for the task."""
    try:
        estimator = function()
    except Exception as error:
        raise TrainingError(
            f"{_named(function)} raised {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    _check_unfitted(estimator, _named(function), task)
    return estimator


def _named(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    where = f"{code.co_filename}, line {code.co_firstlineno}: " if code else ""
    return f"{where}{getattr(function, '__name__', 'estimator')}()"


def _check_unfitted(estimator: Any, name: str, task: Task) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    _check_kind(estimator, name, task)
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return
    raise TrainingError(
        f"{name} returned a fitted {type(estimator).__name__}; return it unfitted: the pipeline fits"
    )


def _check_kind(estimator: Any, name: str, task: Task) -> None:
    from sklearn.base import is_classifier, is_regressor

    kind = "regressor" if task == "regression" else "classifier"
    if isinstance(estimator, type):
        raise TrainingError(f"{name} returned the class {estimator.__name__}; return an instance of it")
    if not all(hasattr(estimator, method) for method in ("fit", "get_params", "set_params")):
        raise TrainingError(
            f"{name} returned {type(estimator).__name__}; return an unfitted scikit-learn {kind}"
        )
    other = is_classifier(estimator) if task == "regression" else is_regressor(estimator)
    if other or (task == "regression" and not hasattr(estimator, "predict")):
        raise TrainingError(
            f"{name} returned {type(estimator).__name__}, but the model's task is {task}: return a {kind}, "
            "or declare the task that fits"
        )
    if task != "regression" and not hasattr(estimator, "predict_proba"):
        raise TrainingError(
            f"{name} returned {type(estimator).__name__} without predict_proba, so it gives no scores; "
            "use a classifier that has it, or wrap it in CalibratedClassifierCV"
        )


def train(
    estimator: Any,
    features: pl.DataFrame,
    labels: pl.Series,
    *,
    task: Task = "binary",
    imbalance: Imbalance = "none",
    seed: int = 0,
    threads: int | None = None,
    trusted: Sequence[str] | None = None,
) -> Trained:
    """Fit on the features of labelled rows and express what was learned; same input, same bytes.

    See `fit`. `trusted` are the types that skops may build where ONNX cannot express the estimator;
    None: then it is refused. Raises TrainingError or ExportError.
    """
    names = model_features(features)
    fit(estimator, features, labels, task=task, imbalance=imbalance, seed=seed, threads=threads)
    classes, rows = learned_classes(labels, task), class_rows(labels, task)
    sample = features.head(_SAMPLE)
    served = express(estimator, names, sample, scores(estimator, sample, task, classes), trusted)
    return Trained(estimator, names, served, _params(estimator), task, classes, rows)


def fit(
    estimator: Any,
    features: pl.DataFrame,
    labels: pl.Series,
    *,
    task: Task = "binary",
    imbalance: Imbalance = "none",
    seed: int = 0,
    threads: int | None = None,
) -> None:
    """Fit on the features of labelled rows, deterministically.

    `labels` are 0 and 1, classes (whole numbers or text), or finite numbers, by the `task`. With `imbalance`
    "balanced" each row weighs (rows / classes / rows of its class), scikit-learn's balanced class weight.
    Every `random_state` that the user left open gets the seed. `threads` limits OpenMP and BLAS (default: one
    for small data); trees do not depend on it. Raises TrainingError.
    """
    check_labels(labels, features.height, task)
    truth = labels.to_numpy()
    weights = sample_weights(estimator, truth, imbalance)
    _seed(estimator, seed)
    table = to_pandas(features)
    with deterministic(seed, _threads(features, threads)):
        _fit(estimator, table, truth, weights)
        _check_scores(estimator, table[:_SAMPLE], task)


def apply(estimator: Any, params: Mapping[str, Any]) -> Any:
    """Set parameters by name, as `set_params` does; raises TrainingError naming a wrong one."""
    try:
        return estimator.set_params(**params)
    except ValueError as error:
        raise TrainingError(
            f"tune.search gives a parameter that {type(estimator).__name__} does not take: "
            f"{str(error).splitlines()[0]}"
        ) from error


def model_features(features: pl.DataFrame) -> list[Feature]:
    """The feature columns in order, as the signature names them; raises TrainingError for other types."""
    names = {pl.Float32(): "Float32", pl.String(): "String"}
    wrong = [f"{name} ({dtype})" for name, dtype in features.schema.items() if dtype not in names]
    if wrong or not features.columns:
        raise TrainingError(
            f"features are Float32 or String columns, not {', '.join(wrong) or 'none at all'}; "
            "compute them with compute_features"
        )
    return [Feature.model_validate({"name": n, "dtype": names[d]}) for n, d in features.schema.items()]


def scores(
    estimator: Any,
    features: pl.DataFrame,
    task: Task = "binary",
    classes: Sequence[ClassLabel] = (0, 1),
) -> np.ndarray:
    """The estimator's own: the positive class's probability [n], all [n, classes], or the values [n]."""
    with _limited(features):
        if task == "regression":
            values: np.ndarray = np.asarray(estimator.predict(to_pandas(features)), dtype=np.float64)
            return values.reshape(-1)
        probabilities = np.asarray(estimator.predict_proba(to_pandas(features)))
    order = [list(estimator.classes_).index(name) for name in classes]
    return probabilities[:, order[1]] if task == "binary" else probabilities[:, order]


def _seed(estimator: Any, seed: int) -> None:
    unset = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    if unset:
        estimator.set_params(**unset)


def _threads(features: pl.DataFrame, threads: int | None = None) -> int | None:
    return threads or (1 if features.height * features.width <= _SINGLE_THREADED else None)


def _limited(features: pl.DataFrame) -> AbstractContextManager[Any]:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(_threads(features))
    return limits


def _fit(estimator: Any, table: Any, labels: np.ndarray, weights: Mapping[str, np.ndarray]) -> None:
    try:
        estimator.fit(table, labels, **weights)
    except TrainingError:  # of a network: it says what to do
        raise
    except Exception as error:
        raise TrainingError(
            f"fitting {type(estimator).__name__} on {len(table)} rows of {', '.join(table.columns)} failed: "
            f"{type(error).__name__}: {error}{_memory_remedy(error)}"
        ) from error


def _memory_remedy(error: Exception) -> str:
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "; shorten the training window ('train'), take a smaller estimator, or run on a larger machine"
    return ""


def _check_scores(estimator: Any, table: Any, task: Task) -> None:
    if task == "regression":
        if not np.isfinite(np.asarray(estimator.predict(table))).all():
            raise TrainingError(
                f"{type(estimator).__name__} gives values that are no numbers (NaN or infinite), as after a "
                "loss that diverged; lower the learning rate, scale the features, or handle missing values "
                "before it"
            )
        return
    probabilities = np.asarray(estimator.predict_proba(table))
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
        raise TrainingError(
            f"{type(estimator).__name__} gives scores that are no probabilities (NaN, or outside 0 to 1); "
            "handle missing and extreme values before the classifier, or lower its learning rate: a loss "
            "that diverged leaves NaN"
        )


def _params(estimator: Any) -> dict[str, str | int | float | bool | None]:
    params = sorted(estimator.get_params(deep=True).items())
    plain = {name: value for name, value in params if isinstance(value, str | int | float | bool | None)}
    # JSON has no NaN: scikit-learn's default encoded_missing_value is one.
    return {name: str(value) if value != value else value for name, value in plain.items()}
