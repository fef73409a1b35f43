"""From the declared label to a column of 1, 0 and null, of classes, or of numbers."""

import polars as pl

from mlcicd_assets.ml.declarations import Label
from mlcicd_assets.ml.thresholds import Bound


class LabelError(ValueError):
    """A label column that cannot be learned; names the column, what was found and what is expected."""


def label_column(label: Label, records: pl.DataFrame) -> pl.Series:
    """The label, or null where it is not known; raises LabelError.

    Of kind binary as Int8, 1 and 0: with `positive` ("> 15") a number above is 1; without it the column is a
    boolean, or holds 0 and 1. Of kind classes as Int64 or String, of kind number as Float64.
    """
    if label.column not in records.columns:
        raise LabelError(
            f"the label column {label.column!r} is missing; there are: {', '.join(records.columns)}"
        )
    column = records[label.column]
    if label.kind == "classes":
        return _classes(column)
    if label.kind == "number":
        return _finite(column)
    if label.positive is not None:
        return _by_bound(column, Bound.parse(label.positive))
    if column.dtype == pl.Boolean or column.dtype == pl.Null:
        return column.cast(pl.Int8)
    if column.dtype.is_numeric():
        return _zero_or_one(column)
    raise LabelError(
        f"the label column {label.column!r} is {column.dtype}; it must be boolean, or a number of 0 and 1: "
        f"convert it upstream, or declare 'positive' for a number"
    )


def _classes(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Null or column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    whole = column.fill_nan(None) if column.dtype.is_float() else column
    if column.dtype.is_float() and (whole.is_null() | (whole == whole.floor())).all() and _bounded(whole):
        return whole.cast(pl.Int64)  # whole numbers that came with missing ones among them
    raise LabelError(
        f"the label column {column.name!r} is {column.dtype}; classes are text or whole numbers: convert it "
        "upstream, or declare 'kind: number' for a regression"
    )


def _bounded(column: pl.Series) -> bool:
    return not column.is_infinite().any()


def _finite(column: pl.Series) -> pl.Series:
    if column.dtype == pl.Null:
        return column.cast(pl.Float64)
    if not column.dtype.is_numeric():
        raise LabelError(
            f"the label column {column.name!r} is {column.dtype}, but 'kind: number' needs a number; convert "
            "it upstream"
        )
    values = column.cast(pl.Float64).fill_nan(None)
    if not _bounded(values):
        raise LabelError(
            f"the label column {column.name!r} holds an infinite number; make it null where it is not known"
        )
    return values


def _by_bound(column: pl.Series, bound: Bound) -> pl.Series:
    if not column.dtype.is_numeric():
        raise LabelError(
            f"the label column {column.name!r} is {column.dtype}, but 'positive: {bound}' needs a number"
        )
    comparisons = {">": column > bound.limit, ">=": column >= bound.limit}
    comparisons |= {"<": column < bound.limit, "<=": column <= bound.limit}
    known = column.is_not_null() & (column.is_not_nan() if column.dtype.is_float() else True)
    return comparisons[bound.sign].cast(pl.Int8).set(~known, None)


def _zero_or_one(column: pl.Series) -> pl.Series:
    values = column.fill_nan(None) if column.dtype.is_float() else column
    wrong = values.filter(values.is_not_null() & (values != 0) & (values != 1))
    if wrong.len():
        raise LabelError(
            f"the label column {column.name!r} holds {wrong.unique().head(5).to_list()}; it must hold "
            "0 and 1 only, or declare 'positive' to make a class of a number"
        )
    return values.cast(pl.Int8)
