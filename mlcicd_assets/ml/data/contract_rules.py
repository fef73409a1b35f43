"""The rules of a contract as polars expressions, so that all of them are counted in one pass.

A pandera check says `data.lazyframe.select(expression)`. It is called with a frame that keeps the expression
instead of evaluating it; that holds for pandera's own checks and a person's alike. A check that does more
than select (joins, groups, Python) is executed by itself, on all the records.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mlcicd_assets.ml.data.contract_failures import RuleFailure, Tier

AS_WHOLE = "does not hold for the partition as a whole"


@dataclass(frozen=True)
class Told:
    """Decided by the columns alone: broken, or kept (None)."""

    failure: RuleFailure | None


@dataclass(frozen=True)
class ByRecord:
    """A rule that single records break."""

    rule: str
    column: str | None
    tier: Tier
    said: str
    broken: pl.Expr  # true for a record that breaks it
    stays: bool = False  # a soft rule that is reported only: its records are not moved to the quarantine


@dataclass(frozen=True)
class AsWhole:
    """A rule about the column or the partition as a whole."""

    rule: str
    column: str | None
    tier: Tier
    said: str
    holds: pl.Expr  # one boolean


@dataclass(frozen=True)
class Unique:
    """Columns that identify a record."""

    rule: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Executed:
    """A check that is no expression."""

    check: Any
    column: str | None

    @property
    def rule(self) -> str:
        """Its name."""
        return name_of(self.check)

    @property
    def tier(self) -> Tier:
        """Whether it blocks."""
        return tier_of(self.check)

    def held(self, records: pl.LazyFrame) -> pl.Series:
        """For each record, or once for all, whether it keeps the rule; raises what the check raises."""
        made: pl.DataFrame = self.check(records, self.column).check_output.collect()
        return made.to_series()


Rule = Told | ByRecord | AsWhole | Unique | Executed


def name_of(check: Any) -> str:
    """A check's name."""
    return str(check.name or check.error or "check")


def tier_of(check: Any) -> Tier:
    """Say whether it blocks: pandera's `raise_warning=True` makes a rule soft."""
    return "soft" if check.raise_warning else "hard"


def rule_of(check: Any, column: str | None, schema: pl.Schema) -> Rule:
    """A pandera check as a rule that is counted where it is an expression, and executed where not."""
    expression = _expression(check, column, schema)
    if expression is None:
        return Executed(check, column)
    # pandera: a null is neither kept nor broken, unless the check says ignore_na=False.
    held = expression.fill_null(value=bool(check.ignore_na))
    rule, tier = name_of(check), tier_of(check)
    if expression.meta.is_scalar():
        return AsWhole(rule, column, tier, AS_WHOLE, held)
    return ByRecord(rule, column, tier, broken_by(check), held.not_())


def broken_by(check: Any) -> str:
    """What is said of records that break a check."""
    return f"breaks {check.error or name_of(check)}"


class _Recorder(pl.LazyFrame):
    """A frame without records that keeps what is selected of it."""

    selected: Sequence[pl.Expr] | None = None
    is_root = False

    def select(self, *exprs: Any, **named: Any) -> pl.LazyFrame:
        made = super().select(*exprs, **named)
        if self.is_root and isinstance(made, _Recorder):
            made.selected = list(_plain([*exprs, *named.values()]))
        return made


def _plain(exprs: Sequence[Any]) -> Iterator[pl.Expr]:
    for one in exprs:
        if isinstance(one, pl.Expr):
            yield one
        elif isinstance(one, str):
            yield pl.col(one)
        elif isinstance(one, list | tuple):
            yield from _plain(one)
        else:
            yield pl.lit(one)


def _expression(check: Any, column: str | None, schema: pl.Schema) -> pl.Expr | None:
    """The check as one boolean expression over the columns, or None."""
    from pandera.api.polars.types import PolarsData

    if check.element_wise or check.groupby is not None:
        return None
    root = _Recorder(schema=schema)
    root.is_root = True
    try:
        made = _function(check)(PolarsData(root, column or "*"), **check._check_kwargs)
        if not isinstance(made, _Recorder) or not made.selected:
            return None
        held = made.selected[0] if _single(made) else pl.all_horizontal(made.selected)
        # Planning tells whether columns and types fit, without a record.
        usable = pl.LazyFrame(schema=schema).select(held).collect_schema().dtypes() == [pl.Boolean()]
        usable = usable and (held.meta.is_scalar() or held.meta.is_length_preserving())
    except Exception:  # noqa: BLE001 - a person's check may raise anything; executing it tells what
        return None
    return held if usable else None


def _function(check: Any) -> Callable[..., Any]:
    """What a check calls; pandera's own are looked up anew: they may be older than polars' backend."""
    from pandera.backends.polars import builtin_checks  # noqa: F401  registers what pandera's own checks do

    name = getattr(check._check_fn, "__name__", None)
    known = name is not None and check.is_builtin_check(name)
    found: Callable[..., Any] = check.get_builtin_check_fn(name) if known else check._check_fn
    return found


def _single(made: _Recorder) -> bool:
    return len(made.collect_schema()) == 1
