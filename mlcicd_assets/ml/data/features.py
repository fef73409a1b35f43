"""The one path from raw records to model features, shared by training, evaluation and serving."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

# (records: pl.LazyFrame, **lookups: pl.LazyFrame) -> pl.LazyFrame, as promised by the user
FeatureFunction = Callable[..., Any]
Lookups = Mapping[str, pl.LazyFrame]

# What a missing string becomes at the model's door: an ONNX string tensor has no null. Numbers become NaN.
MISSING = ""
# Rows of each batch that are computed once more, each alone.
PROBES = 8
# Float32 results of the same expression may differ in the last bits between one row and many (SIMD).
_TOLERANCE = 1e-5


class FeaturesError(ValueError):
    """A features function that breaks its contract; says which column or row, and what to change."""


def compute_features(
    function: FeatureFunction,
    records: pl.DataFrame,
    lookups: Lookups | None = None,
    *,
    hidden: Collection[str] = (),
    probes: int = PROBES,
) -> pl.DataFrame:
    """Apply `function` to raw records: one row of features for each, in the same order.

    Columns in `hidden` (label, its arrival, what came after) never reach the function. Numbers and booleans
    come out as Float32, text as String. `probes` rows are computed again one by one, which catches a function
    that reorders rows or lets one row influence another (a batch mean, for example). Raises FeaturesError.
    """
    visible = records.drop([column for column in hidden if column in records.columns])
    known = lookups or {}
    features = _run(function, visible, known)
    if features.height != visible.height:
        raise FeaturesError(
            f"the features function returned {features.height} rows for {visible.height} records; "
            "it must return one row per record: join lookups with how='left' on a unique key, do not filter"
        )
    _check_row_wise(function, visible, known, features, probes)
    return features


def _run(function: FeatureFunction, records: pl.DataFrame, lookups: Lookups) -> pl.DataFrame:
    try:
        result = function(records.lazy(), **lookups)
        if isinstance(result, pl.DataFrame):
            result = result.lazy()
        if not isinstance(result, pl.LazyFrame):
            raise FeaturesError(
                f"the features function returned {type(result).__name__}, not a polars LazyFrame; return one"
            )
        return result.select(*model_columns(result.collect_schema())).collect()
    except TypeError as error:
        raise FeaturesError(
            f"the features function failed: {error}; it takes the records and, by keyword, "
            f"the lookups ({', '.join(lookups) or 'none declared'})"
        ) from error
    except PolarsError as error:
        raise FeaturesError(f"the features function failed: {_first_line(error)}") from error


def model_columns(schema: pl.Schema) -> list[pl.Expr]:
    """The casts that make a features function's output the model's input; raises FeaturesError."""
    if not schema:
        raise FeaturesError("the features function returned no columns; select the feature columns")
    return [pl.col(name).cast(_model_type(name, dtype)) for name, dtype in schema.items()]


def _model_type(name: str, dtype: pl.DataType) -> pl.DataType:
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return pl.Float32()
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return pl.String()
    raise FeaturesError(
        f"feature {name!r} is {dtype}; a feature is a number, a boolean or text: "
        "take parts of a time (.dt.hour()), or drop the column"
    )


def _check_row_wise(
    function: FeatureFunction, records: pl.DataFrame, lookups: Lookups, features: pl.DataFrame, probes: int
) -> None:
    for row in _spread(records.height, probes):
        alone = _run(function, records[row : row + 1], lookups)
        together = features[row : row + 1]
        different = differing_columns(alone, together)
        if different:
            raise FeaturesError(
                f"features {', '.join(different)} of row {row} differ when the row is computed alone; "
                "the function must keep the order of rows (maintain_order='left') and use only the row and "
                "the lookups, no statistics of the batch"
            )


def _spread(height: int, count: int) -> list[int]:
    if height == 0 or count == 0:
        return []
    return sorted({int(row) for row in np.linspace(0, height - 1, min(count, height))})


def differing_columns(left: pl.DataFrame, right: pl.DataFrame) -> list[str]:
    """Names of the columns that differ beyond rounding; all of them when the frames' schemas differ."""
    if left.schema != right.schema or left.height != right.height:
        return sorted({*left.columns, *right.columns})
    return [name for name in left.columns if not _same(left[name], right[name])]


def _same(left: pl.Series, right: pl.Series) -> bool:
    if left.dtype != pl.Float32:
        return left.equals(right, null_equal=True)
    if not left.is_null().equals(right.is_null()):
        return False
    return bool(
        np.allclose(left.to_numpy(), right.to_numpy(), rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
    )


def required_inputs(
    function: FeatureFunction,
    schema: pl.Schema,
    lookups: Lookups | None = None,
    *,
    sample: pl.DataFrame | None = None,
) -> list[str]:
    """Find which raw columns the function needs, by dropping one at a time.

    A column is needed when without it the function fails, or its output has other columns or (with a
    `sample` of records) other values. `schema` holds the visible columns only. Give a sample: without one, a
    column that a lookup can silently replace is not recognised. Raises FeaturesError when the function fails
    on the full schema, or when the columns found do not suffice together.
    """
    known = lookups or {}
    columns = list(schema)
    frame = pl.DataFrame(schema=schema) if sample is None else sample.select(columns)
    full = _run(function, frame, known)
    needed = [name for name in columns if _changes(function, frame.drop(name), known, full)]
    if needed != columns and _changes(function, frame.select(needed), known, full):
        raise FeaturesError(
            f"the features function does not work from {', '.join(needed) or 'no column'} alone, though no "
            "other single column is needed; refer to raw columns by name, without alternatives between them"
        )
    return needed


def _changes(function: FeatureFunction, frame: pl.DataFrame, lookups: Lookups, full: pl.DataFrame) -> bool:
    try:
        return bool(differing_columns(_run(function, frame, lookups), full))
    except Exception:  # noqa: BLE001 - whatever a user's function raises without a column, it needed that column
        return True


def model_arrays(features: pl.DataFrame) -> dict[str, np.ndarray]:
    """Feature columns as the model takes them, [n, 1]: float32 with NaN for null, text with MISSING."""
    if features.height == 1:  # the common case when serving, six times faster without the column machinery
        row = zip(features.columns, features.dtypes, features.row(0), strict=True)
        return {name: _cell(value, dtype) for name, dtype, value in row}
    return {name: _array(features[name]) for name in features.columns}


def to_pandas(features: pl.DataFrame) -> Any:
    """Features as scikit-learn's ColumnTransformer takes them: named columns, NaN and MISSING for null."""
    import pandas as pd  # type: ignore[import-untyped]

    return pd.DataFrame({name: values[:, 0] for name, values in model_arrays(features).items()})


def _cell(value: Any, dtype: pl.DataType) -> np.ndarray:
    if dtype == pl.String:
        return np.array([[MISSING if value is None else value]], dtype=object)
    return np.array([[np.nan if value is None else value]], dtype=np.float32)


def _array(column: pl.Series) -> np.ndarray:
    if column.dtype == pl.Float32:
        return column.to_numpy().reshape(-1, 1)
    values = np.empty((len(column), 1), dtype=object)
    values[:, 0] = column.fill_null(MISSING).to_list()
    return values


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
