"""What a gate would have said of history: findings by rule and partition, and how often each rule alarms."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "excused", "cold start", "not enough evidence", "not reached"]
_VERDICTS = ("passed", "failed", "excused")
_COLD = ("cold start", "not enough evidence")


class BacktestError(ValueError):
    """A backtest that cannot be made as asked; says what would do."""


@dataclass(frozen=True)
class Strain:
    """How hard a partition pressed on an adjustable number: `within {} sigma`, 5.3."""

    form: str  # how a bound of that number is written
    value: float

    @property
    def lower(self) -> bool:
        """Whether the bound is a lower one: small values fail."""
        return self.form.startswith(">")


@dataclass(frozen=True)
class Finding:
    """One rule about one partition, decided with what was known then."""

    rule: str  # as in `checks:` or `gates:`, or a contract's `column.rule`
    partition: str
    outcome: Outcome
    value: float | None
    threshold: str
    reason: str
    strains: tuple[Strain, ...] = ()


@dataclass(frozen=True)
class RuleHistory:
    """One rule over all partitions that were looked at."""

    rule: str
    findings: tuple[Finding, ...]

    def _count(self, *outcomes: str) -> int:
        return sum(finding.outcome in outcomes for finding in self.findings)

    @property
    def evaluated(self) -> int:
        """Partitions with a verdict, planned exceptions included."""
        return self._count(*_VERDICTS)

    @property
    def cold_starts(self) -> int:
        """Partitions without enough evidence for a verdict."""
        return self._count(*_COLD)

    @property
    def failed(self) -> tuple[str, ...]:
        """The partitions that would have raised an alarm, oldest first."""
        return tuple(finding.partition for finding in self.findings if finding.outcome == "failed")

    @property
    def excused(self) -> int:
        """Partitions that failed as planned."""
        return self._count("excused")

    @property
    def not_reached(self) -> int:
        """Partitions that an earlier gate held back."""
        return self._count("not reached")

    @property
    def alarm_rate(self) -> float | None:
        """Failed of evaluated; None where nothing was."""
        return len(self.failed) / self.evaluated if self.evaluated else None


@dataclass(frozen=True)
class Suggestion:
    """A bound and how often it would have alarmed."""

    rule: str
    bound: str
    failed: int
    evaluated: int

    @property
    def alarm_rate(self) -> float:
        """Failed of evaluated."""
        return self.failed / self.evaluated


@dataclass(frozen=True)
class Backtest:
    """What a dataset's or a model's gates would have said of history."""

    name: str
    partitions: tuple[str, ...]  # that were judged
    rules: tuple[RuleHistory, ...]
    what_if: RuleHistory | None  # the one rule under the other bound
    suggested: tuple[Suggestion, ...]


@dataclass(frozen=True)
class Span:
    """Which of the stored partitions are judged; earlier ones still count as history."""

    first: str | None = None
    last: str | None = None
    every: int = 1

    def choose(self, keys: Sequence[str]) -> list[str]:
        """Each `every`-th key from first to last, both included; raises BacktestError when none is left."""
        if self.every < 1:
            raise BacktestError(f"--every is at least 1, not {self.every}")
        inside = [
            key
            for key in sorted(keys)
            if (self.first is None or key >= self.first) and (self.last is None or key <= self.last)
        ]
        if not inside:
            stored = f"stored are {min(keys)} to {max(keys)}" if keys else "nothing is stored"
            asked = f"{self.first or 'the beginning'} to {self.last or 'the end'}"
            raise BacktestError(f"there is no partition from {asked}: {stored}")
        return inside[:: self.every]


def histories(findings: Iterable[Finding]) -> list[RuleHistory]:
    """By rule, in the order of first mention; partitions in theirs."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.rule, []).append(finding)
    return [
        RuleHistory(rule, tuple(sorted(mine, key=lambda one: one.partition))) for rule, mine in found.items()
    ]


def rule_named(rules: Sequence[RuleHistory], name: str) -> RuleHistory:
    """The rule of a name; raises BacktestError naming those there are."""
    for rule in rules:
        if rule.rule == name:
            return rule
    listed = ", ".join(rule.rule for rule in rules) or "none"
    raise BacktestError(f"there is no rule {name!r}; there are: {listed}")
