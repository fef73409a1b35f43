"""The columns that a contract declares: which there must be, of which type, and how records get there."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import polars as pl

# What pandera offers and these checks would silently leave out: refused, so that no rule is believed to hold.
_REFUSED = {
    "drop_invalid_rows": "records that break a soft rule go to the quarantine, never away in silence",
    "add_missing_columns": "missing columns are reported, not made up",
    "ordered": "tables do not keep the order of columns",
    "dtype": "give each column its own type",
    "parsers": "records are checked as they are",
}

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)


class ContractBroken(ValueError):
    """Records that break a hard rule, or a contract that cannot be used; says which and what to do."""


def schema_of(contract: Any, named: str) -> Any:
    """The pandera schema of a contract; raises ContractBroken when it cannot be used."""
    try:
        schema = contract.to_schema()
    except AttributeError:
        kind = type(contract).__name__
        raise ContractBroken(f"{named} is {kind}, not a pandera.polars DataFrameModel; write one") from None
    except Exception as error:
        raise ContractBroken(f"{named} is no usable pandera model: {error}; correct it") from error
    for option, reason in _REFUSED.items():
        if getattr(schema, option, None):
            raise ContractBroken(f"{named}: Config.{option} is not supported ({reason}); leave it out")
    if schema.strict == "filter":
        raise ContractBroken(f"{named}: Config.strict='filter' is not supported; use True or leave it out")
    return schema


def declared_columns(columns: list[str], schema: Any) -> Iterator[tuple[str, Any]]:
    """Each declared column by its name in the records; patterns are spelt out."""
    explicit = {name for name, column in schema.columns.items() if not column.regex}
    for name, column in schema.columns.items():
        if not column.regex:
            yield name, column
            continue
        found = [one for one in columns if one not in explicit and re.fullmatch(name, one)]
        yield from ((one, column) for one in found or [name])


def nullable_columns(columns: list[str], contract: Any, named: str) -> set[str]:
    """The columns that may be null in a record, and so in a request; raises ContractBroken."""
    declared = dict(declared_columns(columns, schema_of(contract, named)))
    return {name for name in columns if name not in declared or declared[name].nullable}


def has_type(dtype: pl.DataType, column: Any) -> bool:
    """Whether a column of this type is what the contract declares."""
    from pandera.engines import polars_engine

    return column.dtype is None or bool(column.dtype.check(polars_engine.Engine.dtype(dtype)))


def conform(records: Frame, contract: Any, named: str = "the contract") -> Frame:
    """The same values in the contract's types, where none of them changes; other columns stay as they are.

    Numbers take the declared width, a column without any value the declared type. With `coerce=True` text is
    read as dates and times (ISO 8601), and 0 and 1 as booleans.
    """
    schema = schema_of(contract, named)
    lazy = records.lazy()
    have = lazy.collect_schema()
    other = [
        (name, have[name], column.dtype.type, column.coerce or schema.coerce)
        for name, column in declared_columns(have.names(), schema)
        if name in have and not has_type(have[name], column)
    ]
    if not other:
        return records
    made = lazy.with_columns(_conformed(lazy, other))
    return made.collect() if isinstance(records, pl.DataFrame) else made


def _conformed(lazy: pl.LazyFrame, columns: list[tuple[str, pl.DataType, Any, bool]]) -> list[pl.Expr]:
    """Expressions for the columns whose values survive; one pass over those columns decides."""
    ways = {name: _way(name, dtype, target, coerce) for name, dtype, target, coerce in columns}
    asked = [pl.col(name).is_null().all().alias(f"{name}\0empty") for name in ways]
    asked += [
        _survives(name, dtype, way).alias(f"{name}\0same")
        for name, dtype, _, _ in columns
        if (way := ways[name]) is not None
    ]
    answers = lazy.select(asked).collect(engine="streaming").row(0, named=True)
    changed = []
    for name, dtype, target, coerce in columns:
        if answers[f"{name}\0empty"]:
            changed.append(pl.lit(None, dtype=target).alias(name))
        elif answers.get(f"{name}\0same"):
            changed.append(pl.col(name).cast(target))
        elif coerce and dtype == pl.String and target.is_temporal():
            changed += _time(lazy, name, target)
    return changed


def _way(name: str, dtype: pl.DataType, target: Any, coerce: bool) -> pl.Expr | None:
    """How a value may become the target type, or None; what does not fit becomes null."""
    numbers = dtype.is_numeric() and target.is_numeric()
    texts = dtype == pl.String and target.base_type() in {pl.Categorical, pl.Enum}
    flags = coerce and target == pl.Boolean and dtype.is_integer()
    return pl.col(name).cast(target, strict=False) if numbers or texts or flags else None


def _survives(name: str, dtype: pl.DataType, way: pl.Expr) -> pl.Expr:
    return way.cast(dtype, strict=False).eq_missing(pl.col(name)).all()


def _time(lazy: pl.LazyFrame, name: str, target: Any) -> list[pl.Expr]:
    """The column read as a time, when every text is one."""

    def read(texts: pl.Series) -> pl.Series:
        if target == pl.Date:
            return texts.str.to_date()
        return texts.str.to_datetime(time_unit=target.time_unit, time_zone=target.time_zone)

    try:
        read(lazy.select(name).collect().to_series())
    except (pl.exceptions.PolarsError, AttributeError):
        return []
    # On the whole column: in pieces each would guess the format from its own first value.
    return [pl.col(name).map_batches(read, return_dtype=target)]
