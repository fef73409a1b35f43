"""Counting what breaks the rules in one streaming pass, and reading examples for the rules that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from mlcicd_assets.ml.data.contract_failures import (
    SAMPLE,
    RuleFailure,
    about_records,
    about_whole,
    examples,
    shown_columns,
)
from mlcicd_assets.ml.data.contract_rules import (
    AS_WHOLE,
    AsWhole,
    ByRecord,
    Executed,
    Rule,
    Told,
    Unique,
    broken_by,
)
from mlcicd_assets.ml.data.uniqueness import duplicates

# Rules that fewer records break are shown in one pass over all; the others each stop at the first examples.
_RARE = 5_000
_ROW = "\0row"


@dataclass(frozen=True)
class Results:
    """What each rule said, in the rules' order."""

    rows: int
    failures: Sequence[RuleFailure | None]
    broken: Sequence[ByRecord]  # the rules that single records break, as expressions over them


@dataclass
class Pass:
    """The records, the rules, and what has been counted so far."""

    records: pl.LazyFrame
    keys: Sequence[str]
    contract: str
    rows: int = 0
    broken: dict[int, tuple[ByRecord, int]] = field(default_factory=dict)
    failures: dict[int, RuleFailure] = field(default_factory=dict)

    def run(self, rules: Sequence[Rule]) -> Results:
        """Count, then read examples for what is broken."""
        counted = self._count(rules)
        for index, rule in enumerate(rules):
            self._judge(index, rule, counted)
        samples = self._samples()
        for index, (rule, count) in self.broken.items():
            self.failures[index] = about_records(
                count,
                self.rows,
                samples[index],
                rule=rule.rule,
                column=rule.column,
                tier=rule.tier,
                said=rule.said,
            )
        failures = [self.failures.get(index) for index in range(len(rules))]
        return Results(self.rows, failures, [rule for rule, _ in self.broken.values()])

    def _count(self, rules: Sequence[Rule]) -> Mapping[str, Any]:
        asked = {
            str(index): rule.broken.sum() if isinstance(rule, ByRecord) else rule.holds
            for index, rule in enumerate(rules)
            if isinstance(rule, ByRecord | AsWhole)
        }
        selected = [pl.len().alias("rows"), *(one.alias(name) for name, one in asked.items())]
        try:
            return self.records.select(selected).collect(engine="streaming").row(0, named=True)
        except pl.exceptions.PolarsError:
            # A rule that fails on some value: one by one, to find out which.
            counted: dict[str, Any] = {"rows": self.records.select(pl.len()).collect().item()}
            return counted | {name: self._counted(one) for name, one in asked.items()}

    def _counted(self, one: pl.Expr) -> Any:
        try:
            return self.records.select(one).collect().item()
        except pl.exceptions.PolarsError as error:
            return error

    def _judge(self, index: int, rule: Rule, counted: Mapping[str, Any]) -> None:
        self.rows = counted["rows"]
        if isinstance(rule, Told):
            if rule.failure:
                # What was decided by the columns alone did not know the number of records.
                self.failures[index] = replace(rule.failure, count=self.rows)
        elif isinstance(rule, Unique):
            self._judge_unique(index, rule)
        elif isinstance(rule, Executed):
            self._execute(index, rule)
        elif isinstance(counted[str(index)], Exception):
            self.failures[index] = self._raised(rule.rule, rule.column, counted[str(index)])
        elif isinstance(rule, ByRecord):
            self._note(index, rule, counted[str(index)])
        elif not counted[str(index)]:
            self.failures[index] = about_whole(
                self.rows, rule=rule.rule, column=rule.column, said=rule.said, tier=rule.tier
            )

    def _note(self, index: int, rule: ByRecord, count: int | None) -> None:
        if count:
            self.broken[index] = (rule, count)

    def _judge_unique(self, index: int, rule: Unique) -> None:
        count, found = duplicates(self.records, rule.columns, self.keys or rule.columns)
        if not count:
            return
        column = rule.columns[0] if len(rule.columns) == 1 else None
        self.failures[index] = about_records(
            count,
            self.rows,
            examples(found, column, self.keys or rule.columns),
            rule=rule.rule,
            column=column,
            tier="hard",
            said=f"({', '.join(rule.columns)}) is not unique",
        )

    def _execute(self, index: int, rule: Executed) -> None:
        try:
            held = rule.held(self.records)
        except Exception as error:  # noqa: BLE001 - a person's check may raise anything; a broken rule
            self.failures[index] = self._raised(rule.rule, rule.column, error)
            return
        if held.len() == self.rows:
            where = pl.Series((~held).arg_true().cast(pl.UInt32))
            broken = pl.int_range(pl.len(), dtype=pl.UInt32).is_in(where.implode())
            found = ByRecord(rule.rule, rule.column, rule.tier, broken_by(rule.check), broken)
            self._note(index, found, where.len())
        elif not held.all():
            self.failures[index] = about_whole(
                self.rows, rule=rule.rule, column=rule.column, said=AS_WHOLE, tier=rule.tier
            )

    def _raised(self, rule: str, column: str | None, error: Exception) -> RuleFailure:
        reason = (str(error).splitlines() or [""])[0]
        said = f"the check raised {type(error).__name__}: {reason}; correct it in {self.contract}"
        return about_whole(self.rows, rule=rule, column=column, said=said)

    def _samples(self) -> dict[int, list[str]]:
        names = self.records.collect_schema().names()
        rare = {index: rule for index, (rule, count) in self.broken.items() if count <= _RARE}
        found = self._rare(rare, names)
        for index, (rule, _) in self.broken.items():
            if index not in rare:
                shown = shown_columns(names, rule.column, self.keys)
                few = self.records.filter(rule.broken).select(shown).head(SAMPLE)
                found[index] = examples(few.collect(engine="streaming"), rule.column, self.keys)
        return found

    def _rare(self, rules: Mapping[int, ByRecord], names: list[str]) -> dict[int, list[str]]:
        if not rules:
            return {}
        shown = {name for rule in rules.values() for name in shown_columns(names, rule.column, self.keys)}
        flags = [rule.broken.alias(f"\0{index}") for index, rule in rules.items()]
        marks = [pl.col(f"\0{index}") for index in rules]
        records = (
            self.records.select(*sorted(shown, key=names.index), *flags)
            .filter(pl.any_horizontal(marks))
            .collect(engine="streaming")
        )
        return {
            index: examples(
                records.filter(pl.col(f"\0{index}")).select(shown_columns(names, rule.column, self.keys)),
                rule.column,
                self.keys,
            )
            for index, rule in rules.items()
        }
