"""One broken rule, told so that a person finds the records: rule, column, count, share, examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

Tier = Literal["hard", "soft"]
SAMPLE = 3


@dataclass(frozen=True)
class RuleFailure:
    """One broken rule."""

    rule: str
    column: str | None  # None for a rule about whole records
    tier: Tier
    count: int  # records that break it; all of them for a rule about the column or partition as a whole
    share: float  # of the partition's records
    sample: list[str]  # "distance=-3 (flight=7)": the value, and the record's keys
    message: str

    def __str__(self) -> str:
        return self.message


def about_records(
    count: int, rows: int, sample: list[str], *, rule: str, column: str | None, tier: Tier, said: str
) -> RuleFailure:
    """A rule that `count` of the records break."""
    what = f"column {column!r} " if column else ""
    message = f"{rule}: {what}{said} in {count:,} of {rows:,} records ({count / rows:.2%}), for example "
    return RuleFailure(rule, column, tier, count, count / rows, sample, message + "; ".join(sample))


def about_whole(rows: int, *, rule: str, column: str | None, said: str, tier: Tier = "hard") -> RuleFailure:
    """A rule that a column, or the partition, breaks as a whole."""
    return RuleFailure(rule, column, tier, rows, 1.0, [], f"{rule}: {said}")


def shown_columns(available: Sequence[str], column: str | None, keys: Sequence[str]) -> list[str]:
    """What `examples` reads of a record."""
    chosen = [name for name in dict.fromkeys([*([column] if column else []), *keys]) if name in available]
    return chosen or list(available)


def examples(broken: pl.DataFrame, column: str | None, keys: Sequence[str]) -> list[str]:
    """The first few records by what a person needs to find them."""
    known = [key for key in keys if key in broken.columns and key != column]
    found = []
    for row in broken.head(SAMPLE).iter_rows(named=True):
        where = ", ".join(f"{key}={row[key]}" for key in known)
        value = f"{column}={row[column]}" if column in broken.columns else ""
        found.append(f"{value} ({where})" if value and where else value or where or str(row)[:200])
    return found
