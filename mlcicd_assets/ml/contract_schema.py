"""The columns that a contract declares: which there must be, of which type, and how records get there."""

import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from mlcicd_assets.ml.contract_failures import RuleFailure, about_whole, examples

# What pandera offers and these checks would silently leave out: refused, so that no rule is believed to hold.
_REFUSED = {
    "drop_invalid_rows": "records are never dropped in silence",
    "add_missing_columns": "missing columns are reported, not made up",
    "ordered": "tables do not keep the order of columns",
    "dtype": "give each column its own type",
    "parsers": "records are checked as they are",
}


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


def declared_columns(records: pl.DataFrame, schema: Any) -> Iterator[tuple[str, Any]]:
    """Each declared column by its name in the records; patterns are spelt out."""
    explicit = {name for name, column in schema.columns.items() if not column.regex}
    for name, column in schema.columns.items():
        if not column.regex:
            yield name, column
            continue
        found = [one for one in records.columns if one not in explicit and re.fullmatch(name, one)]
        yield from ((one, column) for one in found or [name])


def conform(records: pl.DataFrame, contract: Any, named: str = "the contract") -> pl.DataFrame:
    """The same values in the contract's types, where none of them changes; other columns stay as they are.

    Numbers take the declared width, a column without any value the declared type. With `coerce=True` text is
    read as dates and times (ISO 8601), and 0 and 1 as booleans.
    """
    schema = schema_of(contract, named)
    changed = []
    for name, column in declared_columns(records, schema):
        if name in records.columns and column.dtype is not None and not _is(records[name], column):
            conformed = _conformed(records[name], column.dtype.type, coerce=column.coerce or schema.coerce)
            changed += [] if conformed is None else [conformed]
    return records.with_columns(changed)


def shape_failures(records: pl.DataFrame, name: str, column: Any) -> Iterator[RuleFailure]:
    """A column that is missing, of another type, or without any value."""
    if name not in records.columns:
        if column.required:
            kind = "no column matches" if column.regex else "missing column"
            yield about_whole(records, rule="column_present", column=name, said=f"{kind} {name!r}")
        return
    values = records[name]
    if column.dtype is not None and not _is(values, column):
        shown = examples(records.filter(values.is_not_null()), name, ())
        said = f"column {name!r} is {values.dtype}, must be {column.dtype}, for example {'; '.join(shown)}"
        yield about_whole(records, rule="column_type", column=name, said=said)
    elif column.nullable and values.len() > 1 and values.null_count() == values.len():
        said = f"column {name!r} is null in every record"
        yield about_whole(records, rule="not_all_null", column=name, said=said, tier="soft")


def unexpected_columns(records: pl.DataFrame, schema: Any) -> Iterator[RuleFailure]:
    """Columns that a strict contract does not know."""
    known = {name for name, _ in declared_columns(records, schema)}
    for name in records.columns if schema.strict else []:
        if name not in known:
            yield about_whole(
                records, rule="column_declared", column=name, said=f"column {name!r} is not in the contract"
            )


def _is(values: pl.Series, column: Any) -> bool:
    from pandera.engines import polars_engine

    return bool(column.dtype.check(polars_engine.Engine.dtype(values.dtype)))


def _conformed(values: pl.Series, target: Any, *, coerce: bool) -> pl.Series | None:
    """The values as the target type, or None when one would change."""
    if values.null_count() == values.len():
        return pl.Series(values.name, [None] * values.len(), dtype=target)
    if values.dtype.is_numeric() and target.is_numeric():
        return _exactly(values, target)
    if values.dtype == pl.String and target.base_type() in {pl.Categorical, pl.Enum}:
        return _exactly(values, target)
    if coerce and target == pl.Boolean and values.dtype.is_integer():
        return _exactly(values, target)
    if coerce and values.dtype == pl.String and target.is_temporal():
        return _read_time(values, target)
    return None


def _exactly(values: pl.Series, target: Any) -> pl.Series | None:
    try:
        cast = values.cast(target)
        return cast if cast.cast(values.dtype).eq_missing(values).all() else None
    except pl.exceptions.PolarsError:
        return None


def _read_time(values: pl.Series, target: Any) -> pl.Series | None:
    try:
        if target == pl.Date:
            return values.str.to_date()
        return values.str.to_datetime(time_unit=target.time_unit, time_zone=target.time_zone)
    except (pl.exceptions.PolarsError, AttributeError):
        return None
