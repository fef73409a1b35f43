"""Thresholds that come from history: robust limits around what accepted partitions showed.

A rule reads `>= 1000`, `within 4 sigma`, `within 4 sigma of same weekday`, `within 4 sigma of last 8 of same
month`, or several of these joined by `and`; `or <= 0.02` says what is harmless, however unusual. Sigma is the
scaled median absolute deviation (1.4826 MAD, corrected for small histories after Croux and Rousseeuw, 1992),
widened by the uncertainty of the median, and never taken as less than the sampling noise of what is counted:
so a history without any spread does not fail the next partition.
"""

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mlcicd_assets.ml.data.seasons import USUAL, Window
from mlcicd_assets.ml.thresholds import Bound

MINIMUM_HISTORY = 5
_WITHIN = re.compile(r"^within (\d+(?:\.\d+)?) sigma(?: of (.+))?$")
_SCALE = 1.4826  # from the MAD to the standard deviation of a normal distribution
_SMALL = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
EFFECTS = ("psi", "js", "wasserstein", "ks")  # what they are stands in `drift.Effect`
Outcome = Literal["passed", "failed", "excused", "cold start", "not enough evidence"]


@dataclass(frozen=True)
class Rule:
    """What a declared line asks of a value: fixed bounds, and a band around history."""

    text: str
    bounds: tuple[Bound, ...] = ()
    sigmas: float | None = None
    window: Window = USUAL
    enough: tuple[Bound, ...] = ()  # whatever history says: `or <= 0.02`

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Raises ValueError in plain words."""
        bounds: list[Bound] = []
        sigmas, window = None, USUAL
        asked, *enough = str(text).split(" or ")
        for part in asked.split(" and "):
            found = _WITHIN.match(" ".join(part.split()))
            if found and sigmas is None:
                sigmas = float(found[1])
                window = Window.parse(found[2]) if found[2] else USUAL
            elif found:
                raise ValueError(f"a rule has one 'within … sigma', not two: {text!r}")
            else:
                bounds.append(_bound(part, text))
        return cls(str(text), tuple(bounds), sigmas, window, tuple(_bound(part, text) for part in enough))


@dataclass(frozen=True)
class DriftRule:
    """`psi <= 0.2`, or `ks <= 0.1 against last 8 of same weekday`: what is tolerated, and against what."""

    metric: str
    bound: Bound
    window: Window = USUAL

    @classmethod
    def parse(cls, text: str) -> "DriftRule":
        """Raises ValueError in plain words."""
        tolerated, _, against = " ".join(str(text).split()).partition(" against ")
        metric, _, bound = tolerated.partition(" ")
        if metric not in EFFECTS or not bound.startswith("<"):
            raise ValueError(
                f"drift reads like 'psi <= 0.2' or 'ks <= 0.1 against last 8 of same weekday', with one of "
                f"{', '.join(EFFECTS)}, not {text!r}"
            )
        return cls(metric, Bound.parse(bound), Window.parse(against) if against else USUAL)


@dataclass(frozen=True)
class Limits:
    """The band that history allows, and what it was made of."""

    low: float
    high: float
    median: float
    mad: float
    sigma: float
    history: tuple[str, ...]  # the partitions used, oldest first
    season: str  # which of the earlier ones: "last 28 of same weekday"


@dataclass(frozen=True)
class Judgement:
    """One value of one partition against its rule, with the threshold and why it was that."""

    subject: str  # "row_count", "null_rate temp"
    partition: str
    value: float | None
    rule: str
    outcome: Outcome
    reason: str
    limits: Limits | None = None

    @property
    def holds(self) -> bool:
        """A cold start and a planned exception hold; only `failed` does not."""
        return self.outcome != "failed"


def judge(
    rule: Rule,
    subject: str,
    partition: str,
    value: float | None,
    history: Mapping[str, float],
    *,
    noise: Callable[[float], float] = lambda usual: 0.0,  # noqa: ARG005
    excused: str = "",
    minimum_history: int = MINIMUM_HISTORY,
) -> Judgement:
    """Hold a value against a rule.

    `history` has the values of the partitions that the rule's window chose, by partition. `noise` gives the
    standard deviation that sampling alone gives a value whose usual size is the median. `excused` is the
    reason of a planned exception: then what would fail is recorded as excused.
    """
    if value is None or math.isnan(value):
        return Judgement(subject, partition, None, rule.text, "not enough evidence", "there is no value")
    broken = [f"must be {bound}" for bound in rule.bounds if not bound.admits(value)]
    limits = None
    cold = ""
    if rule.sigmas is not None:
        if len(history) < minimum_history:
            cold = f"cold start: {len(history)} of {minimum_history} earlier partitions ({rule.window})"
        else:
            limits = limits_of(history, rule, noise)
            broken += _beyond(value, limits)
    if broken and (tolerated := [bound for bound in rule.enough if bound.admits(value)]):
        said = f"{value:.4g} {' and '.join(broken)}, but {tolerated[0]} is enough"
        return Judgement(subject, partition, value, rule.text, "passed", said, limits)
    outcome, reason = _decided(value, broken, cold, excused, limits)
    return Judgement(subject, partition, value, rule.text, outcome, reason, limits)


def limits_of(history: Mapping[str, float], rule: Rule, noise: Callable[[float], float]) -> Limits:
    """The band of `rule.sigmas` robust standard deviations around the history's median."""
    values = list(history.values())
    median, mad, sigma = robust(values)
    sigma = max(sigma, noise(median))
    # The median is itself an estimate: its variance is pi/2 of that of a mean (asymptotically, normal).
    width = (rule.sigmas or 0.0) * sigma * math.sqrt(1 + math.pi / 2 / len(values))
    return Limits(median - width, median + width, median, mad, sigma, tuple(history), str(rule.window))


def robust(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, median absolute deviation, and the standard deviation that follows from it."""
    median = statistics.median(values)
    mad = statistics.median(abs(value - median) for value in values)
    count = len(values)
    corrected = _SMALL.get(count, count / (count - 0.8) if count > 1 else 1.0)
    return median, mad, _SCALE * corrected * mad


def count_noise(count: float) -> float:
    """The standard deviation of a count (Poisson)."""
    return math.sqrt(max(count, 1.0))


def share_noise(share: float, rows: float) -> float:
    """The standard deviation of a share of `rows` (binomial), with one more of each kind than was seen."""
    if rows <= 0:
        return 1.0
    likely = (share * rows + 1) / (rows + 2)
    return math.sqrt(likely * (1 - likely) / rows)


def _bound(part: str, text: str) -> Bound:
    try:
        return Bound.parse(part)
    except ValueError:
        raise ValueError(
            "a rule reads like '>= 1000', 'within 4 sigma', 'within 4 sigma of same weekday' or "
            f"'within 4 sigma of last 8 of same weekday', not {text!r}"
        ) from None


def _beyond(value: float, limits: Limits) -> list[str]:
    if value < limits.low:
        return [f"is below {limits.low:.4g}"]
    return [f"is above {limits.high:.4g}"] if value > limits.high else []


def _decided(
    value: float, broken: Sequence[str], cold: str, excused: str, limits: Limits | None
) -> tuple[Outcome, str]:
    why = _why(limits) if limits else cold
    if broken and excused:
        return "excused", f"{value:.4g} {' and '.join(broken)}, as planned: {excused}"
    if broken:
        return "failed", f"{value:.4g} {' and '.join(broken)}" + (f" ({why})" if why else "")
    if cold:
        return "cold start", f"{value:.4g}; {cold}"
    return "passed", f"{value:.4g}" + (f" ({why})" if why else "")


def _why(limits: Limits) -> str:
    return (
        f"median {limits.median:.4g}, sigma {limits.sigma:.3g} of {len(limits.history)} partitions: "
        f"{limits.season}; {limits.history[0]} … {limits.history[-1]}"
    )
