"""Checking records against their contract: every rule, each with count, share and a sample.

The contract is a pandera (polars) DataFrameModel. A rule with `raise_warning=True` is soft: it warns and is
recorded; every other rule is hard: it blocks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import polars as pl

from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.labels import LabelError, label_column

Tier = Literal["hard", "soft"]
SAMPLE = 3


class ContractBroken(ValueError):  # noqa: N818 - the name says what happened
    """Records that break a hard rule; names each rule, column, count and share."""


@dataclass(frozen=True)
class RuleFailure:
    """One broken rule."""

    rule: str
    column: str | None  # None for a rule about whole records
    tier: Tier
    count: int  # records that break it; 1 for a rule about the partition as a whole
    share: float  # of the partition's records
    sample: list[Any]  # offending values, or keys of offending records
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class ContractReport:
    """What every rule of a contract said about one partition."""

    rows: int
    rules: int  # that were checked
    failures: list[RuleFailure] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no hard rule is broken."""
        return not any(failure.tier == "hard" for failure in self.failures)

    def summary(self) -> str:
        """The broken hard rules in one sentence."""
        broken = [failure.message for failure in self.failures if failure.tier == "hard"]
        return f"{len(broken)} hard rule(s) broken: " + "; ".join(broken) if broken else "every rule holds"

    def as_json(self) -> dict[str, Any]:
        """Plain values, for storing."""
        return asdict(self)


def validate(
    records: pl.DataFrame,
    contract: Any,
    dataset: DatasetDeclaration,
    references: Mapping[str, pl.LazyFrame] | None = None,
) -> ContractReport:
    """Check records against a pandera model and the declaration's own rules; raises ContractBroken.

    `references` holds, for each target such as `planes.tailnum`, the table that has the column. Raises only
    when the contract itself cannot be used; broken rules are reported, all of them.
    """
    schema = _schema(contract, dataset)
    rules = list(_rules(records, schema, dataset, references or {}))
    return ContractReport(records.height, len(rules), [failure for failure in rules if failure is not None])


def _schema(contract: Any, dataset: DatasetDeclaration) -> Any:
    try:
        return contract.to_schema()
    except AttributeError:
        raise ContractBroken(
            f"{dataset.contract} is {type(contract).__name__}, not a pandera.polars DataFrameModel"
        ) from None


def _rules(
    records: pl.DataFrame, schema: Any, dataset: DatasetDeclaration, references: Mapping[str, pl.LazyFrame]
) -> Iterator[RuleFailure | None]:
    """One result per rule: None where it holds."""
    yield _rows_present(records)
    usable = True
    for name, column in schema.columns.items():
        failures = list(_column_shape(records, name, column))
        usable = usable and not failures
        yield from failures or [None]
        if not failures:
            yield from _column_values(records, name, column)
    if usable and records.height:
        for check in schema.checks:
            yield _checked(records, check, None, dataset)
        yield from _declared(records, dataset, references)


def _rows_present(records: pl.DataFrame) -> RuleFailure | None:
    if records.height:
        return None
    return RuleFailure("rows_present", None, "hard", 1, 1.0, [], "rows_present: there are no records")


def _column_shape(records: pl.DataFrame, name: str, column: Any) -> Iterator[RuleFailure]:
    if name not in records.columns:
        if column.required:
            yield _whole(records, "column_present", name, f"column {name!r} is missing")
        return
    found, expected = records.schema[name], column.dtype
    if expected is not None and not expected.check(_engine_type(found)):
        if records[name].null_count() == records.height:
            yield _whole(records, "not_all_null", name, f"column {name!r} is null in every record")
        else:
            said = f"column {name!r} is {found}, must be {expected}"
            yield _whole(records, "column_type", name, said, sample=records[name].head(SAMPLE).to_list())


def _engine_type(dtype: pl.DataType) -> Any:
    from pandera.engines import polars_engine

    return polars_engine.Engine.dtype(dtype)


def _column_values(records: pl.DataFrame, name: str, column: Any) -> Iterator[RuleFailure | None]:
    if name not in records.columns:
        return
    values = records[name]
    if not column.nullable:
        yield _rows("not_null", name, "hard", values.is_null(), values, "is null")
    if column.unique:
        yield _rows("unique", name, "hard", values.is_duplicated(), values, "is not unique")
    for check in column.checks:
        yield _checked(records, check, name, None)


def _checked(
    records: pl.DataFrame, check: Any, name: str | None, dataset: DatasetDeclaration | None
) -> RuleFailure | None:
    rule, tier = check.name or check.error or "check", _tier(check)
    try:
        result = check(records.lazy(), name)
        held = result.check_output.collect().to_series()
    except Exception as error:  # noqa: BLE001 - a person's check may raise anything; that is a broken rule
        said = f"{rule}: raised {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return RuleFailure(rule, name, "hard", 1, 1.0, [], said)
    if held.len() != records.height:  # a rule about the partition as a whole
        if held.all():
            return None
        return RuleFailure(rule, name, tier, 1, 1.0, [], f"{rule}: does not hold for the whole partition")
    shown = records[name] if name else _keys(records, dataset)
    return _rows(rule, name, tier, ~held, shown, f"breaks {check.error or rule}")


def _tier(check: Any) -> Tier:
    return "soft" if check.raise_warning else "hard"


def _keys(records: pl.DataFrame, dataset: DatasetDeclaration | None) -> pl.Series:
    keys = [key for key in dataset.keys if key in records.columns] if dataset else []
    return records.select(pl.struct(keys or records.columns)).to_series()


def _rows(
    rule: str, name: str | None, tier: Tier, broken: pl.Series, shown: pl.Series, said: str
) -> RuleFailure | None:
    count = int(broken.sum() or 0)
    if count == 0:
        return None
    share = count / broken.len()
    sample = shown.filter(broken).head(SAMPLE).to_list()
    what = f"column {name!r} " if name else ""
    plain = [str(value) for value in sample]
    message = f"{rule}: {what}{said} in {count} of {broken.len()} records ({share:.2%}), for example {plain}"
    return RuleFailure(rule, name, tier, count, share, plain, message)


def _whole(
    records: pl.DataFrame, rule: str, name: str, said: str, sample: list[Any] | None = None
) -> RuleFailure:
    plain = [str(value) for value in sample or []]
    more = f", for example {plain}" if plain else ""
    return RuleFailure(rule, name, "hard", max(records.height, 1), 1.0, plain, f"{rule}: {said}{more}")


def _declared(
    records: pl.DataFrame, dataset: DatasetDeclaration, references: Mapping[str, pl.LazyFrame]
) -> Iterator[RuleFailure | None]:
    if dataset.keys:
        yield _unique_keys(records, dataset)
    if dataset.label:
        yield _labels_present(records, dataset)
    for column, target in dataset.references.items():
        yield _reference(records, column, target, references)


def _unique_keys(records: pl.DataFrame, dataset: DatasetDeclaration) -> RuleFailure | None:
    missing = [key for key in dataset.keys if key not in records.columns]
    if missing:
        return _whole(records, "unique_keys", missing[0], f"key column {missing[0]!r} is missing")
    broken = records.select(dataset.keys).is_duplicated()
    said = f"key ({', '.join(dataset.keys)}) is not unique"
    return _rows("unique_keys", None, "hard", broken, _keys(records, dataset), said)


def _labels_present(records: pl.DataFrame, dataset: DatasetDeclaration) -> RuleFailure | None:
    assert dataset.label is not None  # noqa: S101  the caller looked
    column = dataset.label.column
    try:
        labels = label_column(dataset.label, records)
    except LabelError as error:
        return _whole(records, "labels_present", column, str(error))
    if dataset.label.arrives or labels.null_count() < labels.len():
        return None  # labels that come later may all be missing now
    return _whole(records, "labels_present", column, f"no record has a label in column {column!r}")


def _reference(
    records: pl.DataFrame,
    column: str,
    target: str,
    references: Mapping[str, pl.LazyFrame],
) -> RuleFailure | None:
    if target not in references:
        return _whole(records, "references", column, f"the reference table of {target} is missing")
    known = references[target].select(target.split(".")[1]).unique().collect().to_series()
    broken = records[column].is_not_null() & ~records[column].is_in(known.implode())
    return _rows("references", column, "soft", broken, records[column], f"is not in {target}")
