"""Which rules a contract and a declaration make for given columns."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from mlcicd_assets.ml.data.contract_failures import SAMPLE, about_whole, examples
from mlcicd_assets.ml.data.contract_rules import AsWhole, ByRecord, Rule, Told, Unique, rule_of
from mlcicd_assets.ml.data.contract_schema import declared_columns, has_type
from mlcicd_assets.ml.data.labels import LabelError, label_column
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.thresholds import parse_duration

# With fewer labelled records one class alone is no surprise: of 1,000 at 1 % all are negative once in 23,000.
_ENOUGH_LABELS = 1_000


def plan(
    records: pl.LazyFrame,
    schema: Any,
    dataset: DatasetDeclaration,
    references: Mapping[str, pl.LazyFrame],
    until: datetime | None,
) -> list[Rule]:
    """Every rule; what the columns alone decide is decided, the rest is left to the pass."""
    return [
        *_contract_rules(records, schema),
        *_declared_rules(records, dataset, references, until),
    ]


def _contract_rules(records: pl.LazyFrame, schema: Any) -> Iterator[Rule]:
    have = records.collect_schema()
    declared = list(declared_columns(have.names(), schema))
    yield from _undeclared(have, schema, declared)
    complete = True
    for name, column in declared:
        shape = list(_shape(records, have, name, column))
        usable = not any(isinstance(rule, Told) and rule.failure for rule in shape)
        complete = complete and usable
        yield from shape
        if usable and name in have:
            yield from _column_rules(name, column, have)
    if complete:  # rules over several columns would only repeat that one of them is missing
        for check in schema.checks:
            yield rule_of(check, None, have)
    if schema.unique:
        yield _unique("unique", list(schema.unique), have)


def _undeclared(have: pl.Schema, schema: Any, declared: list[tuple[str, Any]]) -> Iterator[Rule]:
    """Columns that a strict contract does not know."""
    known = {name for name, _ in declared}
    for name in have if schema.strict else []:
        if name not in known:
            yield _told("column_declared", name, f"column {name!r} is not in the contract")


def _shape(records: pl.LazyFrame, have: pl.Schema, name: str, column: Any) -> Iterator[Rule]:
    """A column that is missing, of another type, or without any value."""
    if name not in have:
        kind = "no column matches" if column.regex else "missing column"
        yield _told("column_present", name, f"{kind} {name!r}") if column.required else Told(None)
    elif not has_type(have[name], column):
        few = records.select(name).filter(pl.col(name).is_not_null()).head(SAMPLE).collect()
        shown = "; ".join(examples(few, name, ()))
        said = f"column {name!r} is {have[name]}, must be {_readable(column.dtype)}, for example {shown}"
        yield _told("column_type", name, said)
    elif column.nullable:
        holds = (pl.col(name).null_count() < pl.len()) | (pl.len() <= 1)
        yield AsWhole("not_all_null", name, "soft", f"column {name!r} is null in every record", holds)


def _readable(dtype: Any) -> str:
    """A type as it is written in a contract; pandera shows instants without their time zone."""
    kind = getattr(dtype, "type", None)
    zone = getattr(kind, "time_zone", None)
    return f"{dtype} in {zone}" if zone else str(dtype)


def _column_rules(name: str, column: Any, have: pl.Schema) -> Iterator[Rule]:
    if not column.nullable:
        missing = pl.col(name).is_null()
        if have[name].is_float():
            missing |= pl.col(name).is_nan().fill_null(value=False)  # pandera: no number is no value
        yield ByRecord("not_null", name, "hard", "is null", missing)
    if column.unique:
        yield Unique("unique", (name,))
    for check in column.checks:
        yield rule_of(check, name, have)


def _declared_rules(
    records: pl.LazyFrame,
    dataset: DatasetDeclaration,
    references: Mapping[str, pl.LazyFrame],
    until: datetime | None,
) -> Iterator[Rule]:
    have = records.collect_schema()
    if dataset.keys:
        yield _unique("unique_keys", dataset.keys, have)
    if dataset.label:
        yield from _label_rules(records, dataset, have)
    for column, target in dataset.references.items():
        yield _reference(column, target, references, have)
    if dataset.freshness and until:
        yield _freshness(dataset, until, have)


def _unique(rule: str, columns: list[str], have: pl.Schema) -> Rule:
    missing = [name for name in columns if name not in have]
    if missing:
        return _told(rule, missing[0], f"missing column {missing[0]!r}")
    return Unique(rule, tuple(columns))


def _label_rules(records: pl.LazyFrame, dataset: DatasetDeclaration, have: pl.Schema) -> Iterator[Rule]:
    assert dataset.label is not None  # noqa: S101  the caller looked
    column = dataset.label.column
    try:  # which rows are labelled, and how, is decided once, in `labels`
        columns = records.select(column) if column in have else pl.LazyFrame(schema=have)
        labels = label_column(dataset.label, columns.collect())
    except LabelError as error:
        yield _told("labels_present", column, str(error))
        return
    yield _some_labels(labels, column, late=dataset.label.arrives is not None)
    yield _both_classes(labels, column)


def _some_labels(labels: pl.Series, column: str, *, late: bool) -> Rule:
    # Labels that come later may all be missing now; that there are no records at all is told elsewhere.
    if labels.null_count() < labels.len() or late or not labels.len():
        return Told(None)
    said = f"no record has a label in column {column!r}: let the labels land, or declare 'label.arrives'"
    return _told("labels_present", column, said)


def _both_classes(labels: pl.Series, column: str) -> Rule:
    known = labels.len() - labels.null_count()
    if known < _ENOUGH_LABELS or labels.min() != labels.max():
        return Told(None)
    said = f"all {known:,} labels in column {column!r} are {labels.max()!r}: one class teaches nothing"
    return Told(about_whole(0, rule="both_classes", column=column, said=said, tier="soft"))


def _reference(column: str, target: str, references: Mapping[str, pl.LazyFrame], have: pl.Schema) -> Rule:
    """How many records point to nothing: soft, and they stay, for reference tables are rarely complete."""
    if column not in have:
        return _told("references", column, f"missing column {column!r}")
    if target not in references:
        return _told("references", column, f"the reference table of {target} is missing")
    name = target.split(".")[1]
    try:
        known = references[target].select(pl.col(name).unique()).collect().to_series()
        broken = pl.col(column).is_not_null() & ~pl.col(column).is_in(known.implode())
        pl.DataFrame(schema=have).select(broken)
    except pl.exceptions.PolarsError as error:
        said = f"{column!r} can't be compared with {target} ({str(error).splitlines()[0]})"
        return _told("references", column, said)
    return ByRecord("references", column, "soft", f"is not in {target}", broken, stays=True)


def _freshness(dataset: DatasetDeclaration, until: datetime, have: pl.Schema) -> Rule:
    """Whether the records reach near enough to the partition's end."""
    assert dataset.freshness is not None  # noqa: S101  the caller looked
    name, tier = dataset.time or "", dataset.freshness.tier
    dtype = have.get(name)
    if not isinstance(dtype, pl.Datetime):
        return _told("fresh", name, f"column {name!r} is {dtype}, freshness needs a Datetime")
    oldest = until - parse_duration(dataset.freshness.within)
    end = pl.lit(oldest.replace(tzinfo=None)).cast(pl.Datetime("us")).dt.replace_time_zone(dtype.time_zone)
    said = (
        f"the newest record in column {name!r} is older than {oldest:%Y-%m-%d %H:%M}, "
        f"{dataset.freshness.within} before the end: a part may not have landed yet"
    )
    return AsWhole("fresh", name, tier, said, (pl.col(name).max() >= end).fill_null(value=False))


def _told(rule: str, column: str, said: str) -> Told:
    return Told(about_whole(0, rule=rule, column=column, said=said))
