"""Intervals as positions in small drawings; the numbers stand beside them, the drawing is for the eye."""

from collections.abc import Iterable
from dataclasses import dataclass

# Of a drawing, in its own units, and what is left free at either end.
WIDTH, FREE = 200.0, 8.0


@dataclass(frozen=True)
class Whisker:
    """An interval and its point, as positions from left to right."""

    low: float
    point: float
    high: float


class Scale:
    """Values to positions; what is missing among the values does not count."""

    def __init__(self, values: Iterable[float | None]) -> None:
        found = [value for value in values if value is not None]
        self.low, self.high = min(found, default=0.0), max(found, default=0.0)

    @classmethod
    def about_zero(cls, values: Iterable[float | None]) -> "Scale":
        """With 0 in the middle."""
        edge = max((abs(value) for value in values if value is not None), default=0.0) or 1.0
        return cls([-edge, edge])

    def __call__(self, value: float) -> float:
        """A position; the middle where all values are one."""
        if self.high == self.low:
            return WIDTH / 2
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return round(FREE + (WIDTH - 2 * FREE) * share, 1)

    def whisker(self, low: float | None, point: float | None, high: float | None) -> Whisker | None:
        """An interval; without limits its point alone, None without a point."""
        if point is None:
            return None
        known = (point if end is None else end for end in (low, high))
        start, end = (self(value) for value in known)
        return Whisker(start, self(point), end)
