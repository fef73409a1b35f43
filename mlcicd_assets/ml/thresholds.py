"""Bounds and durations as people write them: `>= 0.50`, `10m`, `60d`."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_BOUND = re.compile(r"^\s*(>=|<=|>|<)\s*([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*$")
_DURATION = re.compile(r"^\s*(\d+)\s*(s|m|h|d|w)\s*$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Bound:
    """A one-sided limit on a number."""

    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Bound":
        """Read `>= 0.50`; raises ValueError in plain words."""
        found = _BOUND.match(text) if isinstance(text, str) else None
        if not found:
            raise ValueError(f"a bound reads like '>= 0.80', not {text!r}")
        return cls(found[1], float(found[2]))

    def admits(self, value: float) -> bool:
        """Whether the value keeps the limit; NaN never does."""
        return _OPERATORS[self.sign](value, self.limit)

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


def parse_duration(text: str) -> timedelta:
    """Read `30s`, `10m`, `6h`, `60d`, `8w`; raises ValueError in plain words."""
    found = _DURATION.match(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"a duration reads like '10m', '6h' or '60d', not {text!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
