"""Bounds and durations as people write them: `>= 0.50`, `<= 5 cpu-hours`, `10m`, `60d`."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(
    r"^\s*(>=|<=|>|<)\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:\s*([A-Za-z][A-Za-z-]*))?\s*$"
)
_DURATION = re.compile(r"^\s*(\d+)\s*(ms|s|m|h|d|w)\s*$")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Bound:
    """A one-sided limit on a number."""

    sign: str
    limit: float
    unit: str = ""

    @classmethod
    def parse(cls, text: str, *, units: Sequence[str] = ()) -> "Bound":
        """Read `>= 0.50`, or `<= 5 cpu-hours` where the unit is known; raises ValueError in plain words."""
        found = _BOUND.match(text) if isinstance(text, str) else None
        if not found or (found[3] and found[3] not in units):
            raise ValueError(f"a bound reads like '>= 0.80', not {text!r}")
        return cls(found[1], float(found[2]), found[3] or "")

    def admits(self, value: float) -> bool:
        """Whether the value keeps the limit; NaN never does."""
        return _OPERATORS[self.sign](value, self.limit)

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g} {self.unit}".rstrip()


def parse_duration(text: str) -> timedelta:
    """Read `250ms`, `30s`, `10m`, `6h`, `60d`, `8w`; raises ValueError in plain words."""
    found = _DURATION.match(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"a duration reads like '10m', '6h' or '60d', not {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
