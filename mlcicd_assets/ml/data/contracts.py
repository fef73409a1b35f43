"""Checking records against their contract: every rule, each with count, share and examples.

The contract is a pandera (polars) DataFrameModel. A rule with `raise_warning=True` is soft: it warns, and the
records that break it go to the quarantine; every other rule is hard: it blocks. pandera stays the language of
the contract; its rules are compiled into one streaming pass, for its own `validate` checks no more than the
schema of a LazyFrame.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from mlcicd_assets.ml.data.contract_failures import RuleFailure
from mlcicd_assets.ml.data.contract_pass import Pass
from mlcicd_assets.ml.data.contract_plan import plan
from mlcicd_assets.ml.data.contract_rules import ByRecord
from mlcicd_assets.ml.data.contract_schema import ContractBroken, conform, schema_of
from mlcicd_assets.ml.declarations import DatasetDeclaration

__all__ = ["ContractBroken", "ContractReport", "Examined", "RuleFailure", "conform", "examine", "validate"]

RULES = "_rules"  # in the quarantine: the names of the rules that a record breaks


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


@dataclass(frozen=True)
class Examined:
    """Records in the contract's types, what was found, and which of them may stay."""

    records: pl.LazyFrame
    report: ContractReport
    moved: list[ByRecord]  # broken soft rules whose records go to the quarantine

    def part(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The records that stay, and those for the quarantine with the broken rules' names in `_rules`.

        Raises ContractBroken when no record would stay.
        """
        if not self.moved:
            kept = self.records.collect(engine="streaming")
            return kept, kept.clear().with_columns(pl.lit(None, dtype=pl.String).alias(RULES))
        marks = [pl.when(rule.broken).then(pl.lit(quarantine_name(rule))) for rule in self.moved]
        named = pl.concat_str(marks, separator="; ", ignore_nulls=True).alias(RULES)
        marked = self.records.with_columns(named).collect()
        kept = marked.filter(pl.col(RULES) == "").drop(RULES)
        if kept.is_empty():
            names = ", ".join(quarantine_name(rule) for rule in self.moved)
            raise ContractBroken(
                f"every record breaks a soft rule ({names}), so none would be left: correct the source, or "
                "the rule where it no longer says what is usual"
            )
        return kept, marked.filter(pl.col(RULES) != "")


def quarantine_name(rule: ByRecord) -> str:
    """A rule's name in the quarantine: `wind_speed.wind_below_150_mph`."""
    return f"{rule.column}.{rule.rule}" if rule.column else rule.rule


def examine(
    records: pl.DataFrame | pl.LazyFrame,
    contract: Any,
    dataset: DatasetDeclaration,
    references: Mapping[str, pl.LazyFrame] | None = None,
    until: datetime | None = None,
) -> Examined:
    """Bring records to the contract's types and check them against it and the declaration's own rules.

    `references` holds, for each target such as `planes.tailnum`, the table that has the column; `until` is
    the end of the partition, against which freshness is measured. Raises ContractBroken only when the
    contract itself cannot be used; broken rules are reported, all of them.
    """
    schema = schema_of(contract, dataset.contract)
    lazy = conform(records.lazy(), contract, dataset.contract)
    rules = plan(lazy, schema, dataset, references or {}, until)
    results = Pass(lazy, dataset.keys, dataset.contract).run(rules)
    if not results.rows:
        said = "rows_present: there are no records"
        nothing = RuleFailure("rows_present", None, "hard", 0, 1.0, [], said)
        return Examined(lazy, ContractReport(0, 1, [nothing]), [])
    failures = [failure for failure in results.failures if failure]
    moved = [rule for rule in results.broken if rule.tier == "soft" and not rule.stays]
    return Examined(lazy, ContractReport(results.rows, len(rules), failures), moved)


def validate(
    records: pl.DataFrame | pl.LazyFrame,
    contract: Any,
    dataset: DatasetDeclaration,
    references: Mapping[str, pl.LazyFrame] | None = None,
    until: datetime | None = None,
) -> ContractReport:
    """What `examine` reports."""
    return examine(records, contract, dataset, references, until).report


def moved_counts(quarantined: pl.DataFrame) -> Iterator[tuple[str, int]]:
    """How many records each rule moved to the quarantine."""
    if quarantined.is_empty():
        return
    counts = quarantined[RULES].str.split("; ").explode().value_counts(sort=True)
    yield from counts.iter_rows()
