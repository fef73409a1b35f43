"""The content hash of a table: what the rows say, whatever their order, the columns' order or the files.

Definition, version 1. Values are made canonical: categoricals and enums are strings, unsigned integers the
next larger signed type, instants microseconds, arrays lists, `-0.0` is `0.0`, every NaN the same NaN (and no
null). Rows are sorted by all columns, temporal columns first, then by name. The hash is SHA-256 over the
number of rows and, for each column in the order of names, over its name, its type, its validity bits and its
values: fixed-width values little-endian with 0 for null, text and bytes as lengths followed by UTF-8, lists
as lengths followed by their elements' column, structs as their fields' columns. So it depends on SHA-256 and
on this file, on no library's own hash function or file format.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

_FORMAT = b"mlcicd content 1\n"
_SLICE = 1 << 16  # rows of text hashed at once
_SIGNED: dict[Any, type[pl.DataType]] = {
    pl.UInt8: pl.Int16,
    pl.UInt16: pl.Int32,
    pl.UInt32: pl.Int64,
    pl.UInt64: pl.Int64,  # strict: a value beyond 64 bits is an error, not another value
    pl.Int128: pl.Int64,
    pl.UInt128: pl.Int64,
}
_WIDTHS: dict[Any, str] = {
    **{pl.Boolean: "<i1", pl.Int8: "<i1", pl.Int16: "<i2", pl.Int32: "<i4", pl.Int64: "<i8"},
    **{pl.Date: "<i4", pl.Datetime: "<i8", pl.Float32: "<f4", pl.Float64: "<f8"},
}
_TEXTS = {pl.String, pl.Binary, pl.Decimal}

Piece = bytes | memoryview


class ColumnError(ValueError):
    """A column that no table keeps; names the column and the remedy."""


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in canonical types and order; columns stay where they are. Raises ColumnError."""
    values = [_canonical(pl.col(name), dtype, name).alias(name) for name, dtype in frame.schema.items()]
    try:
        made = frame.select(values)
    except pl.exceptions.InvalidOperationError as error:
        reason = str(error).splitlines()[0]
        raise ColumnError(f"an integer does not fit into 64 bits: store it as text ({reason})") from error
    order = sorted(made.columns, key=lambda name: (not made.schema[name].is_temporal(), name))
    return made.sort(order) if order else made


def content_hash(frame: pl.DataFrame) -> str:
    """Hex SHA-256 of a frame that `canonical` returned."""
    sink = hashlib.sha256(_FORMAT + _number(frame.height))
    for name in sorted(frame.columns):
        sink.update(_text(name))
        for piece in _column(frame[name]):
            sink.update(piece)
    return sink.hexdigest()


def _canonical(value: pl.Expr, dtype: Any, column: str) -> pl.Expr:
    base = dtype.base_type()
    if base in _SIGNED:
        return value.cast(_SIGNED[base])
    if base in {pl.Float32, pl.Float64}:
        zeroed = pl.when(value == 0).then(0.0).otherwise(value)
        return pl.when(value.is_nan()).then(float("nan")).otherwise(zeroed).cast(base)
    if base in {pl.Categorical, pl.Enum}:
        return value.cast(pl.String)
    if base == pl.Datetime:
        return value.dt.cast_time_unit("us")
    if base in {pl.List, pl.Array}:
        return value.cast(pl.List(dtype.inner)).list.eval(_canonical(pl.element(), dtype.inner, column))
    if base == pl.Struct:
        fields = [_canonical(value.struct.field(f.name), f.dtype, column).alias(f.name) for f in dtype.fields]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if base not in _WIDTHS and base not in _TEXTS and base != pl.Null:
        raise ColumnError(f"column {column!r} is {dtype}, which no table keeps: make it a number or text")
    return value


def _column(column: pl.Series) -> Iterator[Piece]:
    """Pieces whose concatenation says the column, and could say no other."""
    yield _text(_type_name(column.dtype))
    yield np.packbits(column.is_not_null().to_numpy()).data
    base: Any = column.dtype.base_type()
    if base in _WIDTHS:
        yield _numbers(column, _WIDTHS[base])
    elif base in _TEXTS:
        yield from _texts(column)
    elif base == pl.List:
        yield _numbers(column.list.len().cast(pl.Int64), "<i8")
        yield from _column(column.explode(empty_as_null=False, keep_nulls=False))
    elif base == pl.Struct:
        for name in sorted(column.struct.fields):
            yield _text(name)
            yield from _column(column.struct.field(name))


def _numbers(column: pl.Series, width: str) -> memoryview:
    physical = column.to_physical()
    physical = physical.cast(pl.Int8) if physical.dtype == pl.Boolean else physical
    return np.ascontiguousarray(physical.fill_null(0).to_numpy(), dtype=width).data


def _texts(column: pl.Series) -> Iterator[Piece]:
    binary = column.dtype == pl.Binary
    texts = column if binary else column.cast(pl.String)
    lengths = texts.bin.size() if binary else texts.str.len_bytes()
    yield _numbers(lengths.cast(pl.Int64), "<i8")
    for start in range(0, len(texts), _SLICE):
        piece = texts.slice(start, _SLICE).drop_nulls()
        yield b"".join(piece.to_list()) if binary else piece.str.join("").item().encode()


def _type_name(dtype: Any) -> str:
    """Names of our own, so that a library may print its types otherwise."""
    if isinstance(dtype, pl.Datetime):
        return f"datetime[{dtype.time_zone or ''}]"
    if isinstance(dtype, pl.Decimal):
        return f"decimal[{dtype.precision},{dtype.scale}]"
    return str(dtype.base_type().__name__).lower()


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _text(text: str) -> bytes:
    data = text.encode()
    return _number(len(data)) + data
