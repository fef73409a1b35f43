"""Which earlier partitions a partition is compared with: the trailing ones, or those of the same season."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

from mlcicd_assets.ml.periods import end_of, start_of

LAST = 28
Season = Literal["weekday", "month"]
_WINDOW = re.compile(r"^(?:(last|first) (\d+))?\s*(?:of )?(?:same (weekday|month))?$")
_DATES = re.compile(r"^(\d{4}-\d\d-\d\d) to (\d{4}-\d\d-\d\d)$")


@dataclass(frozen=True)
class Window:
    """`last 28`, `last 8 of same weekday`, `same month`, `first 28`, or `2026-01-01 to 2026-03-31`."""

    count: int = LAST
    first: bool = False  # the oldest, which stay what they are, instead of the newest
    season: Season | None = None
    dates: tuple[date, date] | None = None

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Raises ValueError in plain words."""
        plain = " ".join(str(text).split())
        if dated := _DATES.match(plain):
            start, end = date.fromisoformat(dated[1]), date.fromisoformat(dated[2])
            if start <= end:
                return cls(dates=(start, end))
        found = _WINDOW.match(plain)
        if not plain or not found or found[2] == "0":
            raise ValueError(
                "earlier partitions are chosen like 'last 28', 'last 8 of same weekday', 'same month', "
                f"'first 28' or '2026-01-01 to 2026-03-31', not {text!r}"
            )
        count = int(found[2]) if found[2] else LAST
        season: Season | None = {"weekday": "weekday", "month": "month"}.get(found[3])  # type: ignore[assignment]
        return cls(count, found[1] == "first", season)

    def __str__(self) -> str:
        if self.dates:
            return f"{self.dates[0]} to {self.dates[1]}"
        season = f" of same {self.season}" if self.season else ""
        return f"{'first' if self.first else 'last'} {self.count}{season}"

    def choose(self, partitions: str, key: str, accepted: Sequence[str]) -> list[str]:
        """Those of the accepted partitions, all before `key`, that it is compared with, oldest first."""
        if partitions == "none":
            return []
        earlier = sorted(other for other in set(accepted) if other < key)
        if partitions == "dynamic":  # keys without a date: in their own order, and no season
            dated = self.dates or self.season
            return [] if dated else earlier[: self.count] if self.first else earlier[-self.count :]
        start = start_of(partitions, key)
        if self.dates:
            first, last = self.dates
            return [other for other in earlier if first <= start_of(partitions, other).date() <= last]
        if self.season == "weekday":
            earlier = [o for o in earlier if start_of(partitions, o).weekday() == start.weekday()]
        if self.season == "month":
            earlier = [o for o in earlier if start_of(partitions, o).month == start.month]
        return earlier[: self.count] if self.first else earlier[-self.count :]


USUAL = Window()


@lru_cache(maxsize=8192)  # every check of every partition asks for the same few
def _days(partitions: str, key: str) -> tuple[date, date]:
    last = end_of(partitions, key) - timedelta(microseconds=1)
    return start_of(partitions, key).date(), last.date()


def covers(first: date, last: date, partitions: str, key: str) -> bool:
    """Whether any of a partition's days lies within the two dates, both included."""
    if partitions in {"none", "dynamic"}:
        return False
    start, end = _days(partitions, key)
    return start <= last and end >= first
