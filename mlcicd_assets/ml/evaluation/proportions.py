"""Intervals of rates, and of differences and ratios between them, for groups as small as they come.

Each rate has the interval of Wilson (1927), which holds for rare events and at 0 and 1. What lies between two
rates has the interval that follows from theirs by MOVER, the method of variance estimates recovery: for
differences Newcombe (1998, method 10), for ratios Zou and Donner (2008) on the logarithm.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """An estimate between its limits."""

    value: float
    low: float
    high: float


def critical(confidence: float, comparisons: int = 1) -> float:
    """The normal quantile of a two-sided interval, after Bonferroni for so many comparisons."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / (2 * max(comparisons, 1)))


def wilson(successes: float, trials: float, z: float) -> Interval:
    """Wilson's score interval of a rate; `trials` is at least 1."""
    rate, square = successes / trials, z * z
    centre = (rate + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * math.sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    # Exactly 0 and 1 at the ends, where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    return Interval(rate, min(low, rate), max(1.0 if successes == trials else min(1.0, centre + half), rate))


def difference(one: Interval, other: Interval) -> Interval:
    """`one` minus `other`, of independent samples."""
    between = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Interval(between, between - below, between + above)


def ratio(one: Interval, other: Interval) -> Interval:
    """`one` over `other`, of independent samples; `other` is not 0.

    Where a limit or `one` is 0 the logarithm has none: the limits are then those that hold at worst.
    """
    quotient = one.value / other.value
    if min(one.value, one.low, other.low) <= 0:
        return Interval(quotient, one.low / other.high, one.high / other.low if other.low > 0 else math.inf)
    below = math.hypot(math.log(one.value / one.low), math.log(other.high / other.value))
    above = math.hypot(math.log(one.high / one.value), math.log(other.value / other.low))
    return Interval(quotient, quotient * math.exp(-below), quotient * math.exp(above))


def largest_difference(rates: Sequence[Interval]) -> Interval:
    """The difference between the highest and the lowest of two or more rates.

    With limits of simultaneous confidence (see `critical`, one comparison for each pair) it covers the truth
    whichever groups are extreme.
    """
    pairs = [difference(one, other) for one, other in _ordered(rates)]
    return Interval(
        max(pair.value for pair in pairs),
        max(0.0, *(pair.low for pair in pairs)),
        max(pair.high for pair in pairs),
    )


def smallest_ratio(rates: Sequence[Interval]) -> Interval | None:
    """The lowest over the highest of two or more rates; None where all are 0."""
    pairs = [ratio(one, other) for one, other in _ordered(rates) if other.value > 0]
    if not pairs:
        return None
    return Interval(
        min(pair.value for pair in pairs),
        min(pair.low for pair in pairs),
        min(1.0, *(pair.high for pair in pairs)),
    )


def _ordered(rates: Sequence[Interval]) -> Iterator[tuple[Interval, Interval]]:
    return permutations(rates, 2)
