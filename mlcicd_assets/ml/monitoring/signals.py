"""What was found about one thing in one window: it keeps its bound, or not, or nothing can be said."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mlcicd_assets.ml.thresholds import Bound

# waiting: labels may still come. not enough evidence: nothing more will come, and nothing can be said.
State = Literal["ok", "violated", "waiting", "not enough evidence"]
JUDGED: tuple[State, ...] = ("ok", "violated")
Cause = Literal["drift", "performance", "traffic"]

TRAFFIC, ERRORS, LATENCY = "traffic", "error_rate", "latency_p99_ms"
SCORE_DRIFT, FEATURE_DRIFT = "score_drift", "feature_drift"
PERFORMANCE, LABELS, SHADOW = "performance", "labels", "shadow"
# What makes an episode, by its cause; the others are only shown.
CAUSES: Mapping[str, Cause] = {
    SCORE_DRIFT: "drift",
    FEATURE_DRIFT: "drift",
    PERFORMANCE: "performance",
    ERRORS: "traffic",
    LATENCY: "traffic",
}
# The causes that a training can mend.
TRAINABLE: tuple[Cause, ...] = ("drift", "performance")


@dataclass(frozen=True)
class Signal:
    """One row of `<model>/monitoring`; `version` 0 where no version answered."""

    window: str  # the window's key
    version: int
    name: str
    state: State
    value: float | None = None
    low: float | None = None  # of its interval
    high: float | None = None
    bound: str = ""
    reference: float | None = None  # what the bound was made of, or what it is compared with
    rows: int = 0
    reason: str = ""  # in words; of anything but `ok` never empty
    evidence: Mapping[str, Any] = field(default_factory=dict)  # JSON values, for pictures and requests

    @property
    def judged(self) -> bool:
        """Whether anything can be said."""
        return self.state in JUDGED

    @property
    def facts(self) -> str:
        """The evidence as the table keeps it."""
        return json.dumps(self.evidence, sort_keys=True, separators=(",", ":"))


def unknown(signal: Signal, reason: str, *, waiting: bool = False) -> Signal:
    """The same without a verdict."""
    return replace(signal, state="waiting" if waiting else "not enough evidence", reason=reason)


def judged(
    signal: Signal, bound: Bound, *, decide_on: Literal["interval", "estimate"] = "estimate"
) -> Signal:
    """Hold a value against its bound.

    By `interval` it is violated only where the whole interval lies beyond the bound; where just the estimate
    does, chance explains it, and that is not enough evidence for either.
    """
    value = signal.value
    signal = replace(signal, bound=str(bound))
    if value is None:
        return unknown(signal, signal.reason or "there is no value")
    if bound.admits(value):
        return replace(signal, state="ok")
    if decide_on == "interval":
        ends = [end for end in (signal.low, signal.high) if end is not None]
        if not ends:
            return unknown(signal, f"{value:.4g} has no interval, and must be {bound}")
        if any(bound.admits(end) for end in ends):
            said = f"{value:.4g} must be {bound}, but its interval reaches {_nearest(ends, bound):.4g}"
            return unknown(signal, f"{said}: chance explains it")
    return replace(signal, state="violated", reason=signal.reason or f"{value:.4g} must be {bound}")


def _nearest(ends: list[float], bound: Bound) -> float:
    return max(ends) if bound.sign in {">", ">="} else min(ends)
