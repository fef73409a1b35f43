"""From the proxy's and the servers' counters to what an analysis compares."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mlcicd_assets.release.analysis import Analysis, Bins, Finding, Window, analyse
from mlcicd_assets.release.rollout import State
from resources.protocols import Traffic, increase

_COUNTS = (
    "requests",
    "errors",
    "rejected",
    "failed_attempts",
    "mirrored",
    "mirrored_errors",
    "counted_since",
    "scores",
    "non_finite",
    "started",
)
_TIMES = ("latency", "mirrored_latency")


def reading(traffic: Traffic) -> dict[str, Any]:
    """Counters as JSON values; what is nought is left out."""
    plain = {name: getattr(traffic, name) for name in _COUNTS}
    plain |= {name: list(getattr(traffic, name).counts) for name in _TIMES}
    return {name: value for name, value in plain.items() if value}


def analysis_of(
    state: State, now: Iterable[Traffic], answers: Callable[[Window], Sequence[Finding]] = lambda _window: ()
) -> Analysis | None:
    """Judge what was counted since the state's baseline; None where there is nothing to judge yet.

    `answers` finds what the predictions themselves say, given the new version's window.
    """
    if state.baseline is None:
        return None
    counted = {traffic.version: traffic for traffic in now}
    mine = counted.get(state.target.version)
    if mine is None:
        return None
    shadow = state.current is not None and state.current.kind == "shadow"
    window = _window(_since(state.baseline, mine), shadow=shadow)
    if state.moved:
        # All traffic is the new version's: nobody answers over the same minutes. The old version's own past
        # still says which share of requests fails anyway; times and scores of another hour say nothing.
        past = _earlier(state.baseline, state.stable.version, mine) if state.stable else None
        limits = state.plan.limits.model_copy(update={"p99_ratio": None, "psi": None})
        return analyse(window, _window(past, shadow=False) if past else None, limits)
    theirs = counted.get(state.stable.version) if state.stable else None
    reference = _window(_since(state.baseline, theirs), shadow=False) if theirs else Window()
    return analyse(window, reference, state.plan.limits, answers(window))


def _since(baseline: Mapping[str, Any], later: Traffic) -> Traffic:
    return increase(_earlier(baseline, later.version, later), later)


def _earlier(baseline: Mapping[str, Any], version: int, like: Traffic) -> Traffic | None:
    kept = baseline.get(str(version))
    if kept is None:
        return None
    histogram = type(like.latency)
    times = {name: histogram(counts=tuple(kept.get(name, ()))) for name in _TIMES}
    counts = {name: kept[name] for name in _COUNTS if name in kept}
    zero = {"requests": 0, "errors": 0, "latency_ms": {}}
    return Traffic(model=like.model, version=version, **{**zero, **counts, **times})


def _window(traffic: Traffic, *, shadow: bool) -> Window:
    times = traffic.mirrored_latency if shadow else traffic.latency
    return Window(
        requests=traffic.mirrored if shadow else traffic.requests,
        faults=traffic.mirrored_errors if shadow else traffic.faults,
        rejected=0 if shadow else traffic.rejected,
        latency=Bins(bounds=times.bounds, counts=times.counts),
        scores=traffic.scores,
        memory_mb=None if traffic.memory_bytes is None else traffic.memory_bytes / 2**20,
    )
