"""Fitting the user's estimator: checked before, seeded, and expressed in ONNX after."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.onnx_export import to_onnx
from mlcicd_assets.ml.artifact.package import Feature
from mlcicd_assets.ml.data.features import model_arrays

# Up to this many values (rows × features) one thread fits and predicts. More threads gain little on small
# data, and when another process has the other core their spinning costs a factor: 2 s became 46 s.
_SINGLE_THREADED = 20_000_000
_SAMPLE = 1_000


class TrainingError(ValueError):
    """An estimator that cannot be trained; says what it is and what to return instead."""


@dataclass(frozen=True)
class Trained:
    """A fitted estimator and its ONNX graph."""

    estimator: Any
    features: list[Feature]
    onnx: bytes
    params: Mapping[str, str | int | float | bool | None]


def new_estimator(function: Callable[[], Any]) -> Any:
    """Call the user's `estimator()`; raises TrainingError unless it returns an unfitted classifier."""
    try:
        estimator = function()
    except Exception as error:
        raise TrainingError(
            f"{_named(function)} raised {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    _check_unfitted(estimator, _named(function))
    return estimator


def _named(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    where = f"{code.co_filename}, line {code.co_firstlineno}: " if code else ""
    return f"{where}{getattr(function, '__name__', 'estimator')}()"


def _check_unfitted(estimator: Any, name: str) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if isinstance(estimator, type):
        raise TrainingError(f"{name} returned the class {estimator.__name__}; return an instance of it")
    if not all(hasattr(estimator, method) for method in ("fit", "get_params", "set_params")):
        raise TrainingError(
            f"{name} returned {type(estimator).__name__}; return an unfitted scikit-learn classifier"
        )
    if not hasattr(estimator, "predict_proba"):
        raise TrainingError(
            f"{name} returned {type(estimator).__name__} without predict_proba, so it gives no scores; "
            "use a classifier that has it, or wrap it in CalibratedClassifierCV"
        )
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return
    raise TrainingError(
        f"{name} returned a fitted {type(estimator).__name__}; return it unfitted: the pipeline fits"
    )


def train(
    estimator: Any, features: pl.DataFrame, labels: pl.Series, *, seed: int = 0, threads: int | None = None
) -> Trained:
    """Fit on the features of labelled rows and convert to ONNX; same input, same bytes.

    `labels` are 0 and 1. Every `random_state` that the user left open gets the seed. `threads` limits OpenMP
    and BLAS (default: one for small data); trees do not depend on it. Raises TrainingError or ExportError.
    """
    names = model_features(features)
    classes = labels.unique().sort().to_list()
    if labels.len() != features.height or classes != [0, 1]:
        raise TrainingError(
            f"training needs a label, 0 or 1, for each row, and both classes; there are {features.height} "
            f"rows and {labels.len()} labels with the values {classes[:5]}"
        )
    _seed(estimator, seed)
    table = to_pandas(features)
    with _limited(features, threads):
        _fit(estimator, table, labels.to_numpy())
        _check_scores(estimator, table[:_SAMPLE])
    return Trained(estimator, names, to_onnx(estimator, names), _params(estimator))


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


def to_pandas(features: pl.DataFrame) -> Any:
    """Features as scikit-learn's ColumnTransformer takes them: named columns, NaN and MISSING for null."""
    import pandas as pd  # type: ignore[import-untyped]

    return pd.DataFrame({name: values[:, 0] for name, values in model_arrays(features).items()})


def scores(estimator: Any, features: pl.DataFrame) -> np.ndarray:
    """Probability of the positive class by scikit-learn, [n]."""
    with _limited(features):
        probabilities = np.asarray(estimator.predict_proba(to_pandas(features)))
    return probabilities[:, list(estimator.classes_).index(1)]


def _seed(estimator: Any, seed: int) -> None:
    import random

    random.seed(seed)
    np.random.seed(seed)  # scikit-learn's fallback where no random_state is given
    unset = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    if unset:
        estimator.set_params(**unset)


def _limited(features: pl.DataFrame, threads: int | None = None) -> AbstractContextManager[Any]:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    small = features.height * features.width <= _SINGLE_THREADED
    limits: AbstractContextManager[Any] = threadpool_limits(threads or (1 if small else None))
    return limits


def _fit(estimator: Any, table: Any, labels: np.ndarray) -> None:
    try:
        estimator.fit(table, labels)
    except Exception as error:
        raise TrainingError(
            f"fitting {type(estimator).__name__} on {len(table)} rows of {', '.join(table.columns)} failed: "
            f"{type(error).__name__}: {error}"
        ) from error


def _check_scores(estimator: Any, table: Any) -> None:
    probabilities = np.asarray(estimator.predict_proba(table))
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
        raise TrainingError(
            f"{type(estimator).__name__} gives scores that are no probabilities (NaN, or outside 0 to 1); "
            "handle missing and extreme values before the classifier"
        )


def _params(estimator: Any) -> dict[str, str | int | float | bool | None]:
    params = sorted(estimator.get_params(deep=True).items())
    plain = {name: value for name, value in params if isinstance(value, str | int | float | bool | None)}
    # JSON has no NaN: scikit-learn's default encoded_missing_value is one.
    return {name: str(value) if value != value else value for name, value in plain.items()}
