"""Checking records against their contract: every rule, each with count, share and examples.

The contract is a pandera (polars) DataFrameModel. A rule with `raise_warning=True` is soft: it warns and is
recorded; every other rule is hard: it blocks. pandera stays the language of the contract; its rules are
applied here one by one on all the data, for its own `validate` checks no more than the schema of a LazyFrame.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from mlcicd_assets.ml.contract_failures import RuleFailure, Tier, about_records, about_whole
from mlcicd_assets.ml.contract_schema import (
    ContractBroken,
    conform,
    declared_columns,
    schema_of,
    shape_failures,
    unexpected_columns,
)
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.labels import LabelError, label_column

__all__ = ["ContractBroken", "ContractReport", "RuleFailure", "conform", "validate"]


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
        return {**asdict(self), "passed": self.passed}


def validate(
    records: pl.DataFrame,
    contract: Any,
    dataset: DatasetDeclaration,
    references: Mapping[str, pl.LazyFrame] | None = None,
) -> ContractReport:
    """Check records against a pandera model and the declaration's own rules.

    `references` holds, for each target such as `planes.tailnum`, the table that has the column. Raises
    ContractBroken only when the contract itself cannot be used; broken rules are reported, all of them.
    Types are those of `conform`, which the caller applies to what it keeps.
    """
    schema = schema_of(contract, dataset.contract)
    conformed = conform(records, contract, dataset.contract)
    results = list(_results(conformed, schema, dataset, references or {}))
    return ContractReport(records.height, len(results), [failure for failure in results if failure])


def _results(
    records: pl.DataFrame, schema: Any, dataset: DatasetDeclaration, references: Mapping[str, pl.LazyFrame]
) -> Iterator[RuleFailure | None]:
    """One result per rule: None where it holds."""
    if not records.height:
        yield about_whole(records, rule="rows_present", column=None, said="there are no records")
        return
    yield from unexpected_columns(records, schema)
    complete = True
    for name, column in declared_columns(records, schema):
        shape = list(shape_failures(records, name, column))
        yield from shape if shape else (None,)
        usable = all(failure.tier == "soft" for failure in shape)
        complete = complete and usable
        if usable and name in records.columns:
            yield from _column_results(records, name, column, dataset)
    if complete:  # rules over several columns would only repeat that one of them is missing
        for check in schema.checks:
            yield _checked(records, check, None, dataset)
    if schema.unique:
        yield _unique(records, "unique", list(schema.unique), dataset)
    yield from _declared(records, dataset, references)


def _column_results(
    records: pl.DataFrame, name: str, column: Any, dataset: DatasetDeclaration
) -> Iterator[RuleFailure | None]:
    values = records[name]
    if not column.nullable:
        missing = values.is_null()
        if values.dtype.is_float():
            missing |= values.is_nan().fill_null(value=False)  # pandera: no number is no value
        yield about_records(
            records, missing, rule="not_null", column=name, tier="hard", said="is null", keys=dataset.keys
        )
    if column.unique:
        yield _unique(records, "unique", [name], dataset)
    for check in column.checks:
        yield _checked(records, check, name, dataset)


def _checked(
    records: pl.DataFrame, check: Any, name: str | None, dataset: DatasetDeclaration
) -> RuleFailure | None:
    rule = check.name or check.error or "check"
    tier: Tier = "soft" if check.raise_warning else "hard"
    try:
        held = check(records.lazy(), name).check_output.collect().to_series()
    except Exception as error:  # noqa: BLE001 - a person's check may raise anything; that is a broken rule
        reason = (str(error).splitlines() or [""])[0]
        said = f"the check raised {type(error).__name__}: {reason}; correct it in {dataset.contract}"
        return about_whole(records, rule=rule, column=name, said=said)
    if held.len() != records.height:
        said = "does not hold for the partition as a whole"
        return None if held.all() else about_whole(records, rule=rule, column=name, said=said, tier=tier)
    said = f"breaks {check.error or rule}"
    return about_records(records, ~held, rule=rule, column=name, tier=tier, said=said, keys=dataset.keys)


def _unique(
    records: pl.DataFrame, rule: str, columns: list[str], dataset: DatasetDeclaration
) -> RuleFailure | None:
    missing = [name for name in columns if name not in records.columns]
    if missing:
        return about_whole(records, rule=rule, column=missing[0], said=f"missing column {missing[0]!r}")
    return about_records(
        records,
        records.select(columns).is_duplicated(),
        rule=rule,
        column=columns[0] if len(columns) == 1 else None,
        tier="hard",
        said=f"({', '.join(columns)}) is not unique",
        keys=dataset.keys or columns,
    )


def _declared(
    records: pl.DataFrame, dataset: DatasetDeclaration, references: Mapping[str, pl.LazyFrame]
) -> Iterator[RuleFailure | None]:
    if dataset.keys:
        yield _unique(records, "unique_keys", dataset.keys, dataset)
    if dataset.label:
        yield _labels_present(records, dataset)
    for column, target in dataset.references.items():
        yield _reference(records, column, target, references, dataset)


def _labels_present(records: pl.DataFrame, dataset: DatasetDeclaration) -> RuleFailure | None:
    assert dataset.label is not None  # noqa: S101  the caller looked
    column = dataset.label.column
    try:
        labels = label_column(dataset.label, records)
    except LabelError as error:
        return about_whole(records, rule="labels_present", column=column, said=str(error))
    if dataset.label.arrives or labels.null_count() < labels.len():
        return None  # labels that come later may all be missing now
    said = f"no record has a label in column {column!r}: let the labels land, or declare 'label.arrives'"
    return about_whole(records, rule="labels_present", column=column, said=said)


def _reference(
    records: pl.DataFrame,
    column: str,
    target: str,
    references: Mapping[str, pl.LazyFrame],
    dataset: DatasetDeclaration,
) -> RuleFailure | None:
    """How many records point to nothing: soft, for reference tables are rarely complete."""
    if column not in records.columns:
        return about_whole(records, rule="references", column=column, said=f"missing column {column!r}")
    if target not in references:
        return about_whole(
            records, rule="references", column=column, said=f"the reference table of {target} is missing"
        )
    name = target.split(".")[1]
    try:
        known = references[target].select(pl.col(name).unique()).collect().to_series()
        broken = records[column].is_not_null() & ~records[column].is_in(known.implode())
    except pl.exceptions.PolarsError as error:
        said = f"{column!r} can't be compared with {target} ({str(error).splitlines()[0]})"
        return about_whole(records, rule="references", column=column, said=said)
    said = f"is not in {target}"
    return about_records(
        records, broken, rule="references", column=column, tier="soft", said=said, keys=dataset.keys
    )
