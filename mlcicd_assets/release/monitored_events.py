"""Releases and rollbacks beside the windows of monitoring: where in the windows' own time they happened.

The ledger knows when something was done by the clock; windows may go by the records' time, which is another
where a stream is replayed. The rows that were answered before and after tell which window it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlcicd_assets.ml.monitoring.signals import TRAFFIC, Signal
from mlcicd_assets.ml.monitoring.windows import Span, span_of
from mlcicd_assets.release.history import PROMOTED, ROLLED_BACK, Line
from mlcicd_assets.release.rollout_history import BEGAN, ROLLBACK_BEGAN

_WORDS = {
    PROMOTED: "version {} is champion",
    ROLLED_BACK: "rollback, version {}",
    BEGAN: "rollout of version {} begins",
    ROLLBACK_BEGAN: "rollback from version {} begins",
}
_MAJOR = {PROMOTED, ROLLED_BACK}


@dataclass(frozen=True)
class Happened:
    """One event, in the time of the windows."""

    at: datetime
    said: str
    major: bool  # the champion changed
    reason: str = ""


@dataclass(frozen=True)
class _Stretch:
    span: Span
    first: datetime
    last: datetime


def happened(lines: Sequence[Line], signals: Sequence[Signal], length: timedelta) -> list[Happened]:
    """The events that lie within, or right beside, the windows; oldest first."""
    stretches = _stretches(signals, length)
    found = []
    for line in lines:
        if line.action not in _WORDS or not stretches:
            continue
        at = _placed(_moment(line.at), stretches, length)
        if at is not None:
            said = _WORDS[line.action].format(line.version)
            found.append(Happened(at, said, line.action in _MAJOR, line.reason))
    return sorted(found, key=lambda one: one.at)


def _stretches(signals: Sequence[Signal], length: timedelta) -> list[_Stretch]:
    """When, by the clock, each window's rows were answered."""
    by_window: dict[str, list[Signal]] = {}
    for one in signals:
        if one.name == TRAFFIC and one.evidence.get("first"):
            by_window.setdefault(one.window, []).append(one)
    return [
        _Stretch(
            span_of(window, length),
            min(_moment(one.evidence["first"]) for one in mine),
            max(_moment(one.evidence["last"]) for one in mine),
        )
        for window, mine in sorted(by_window.items())
    ]


def _placed(moment: datetime, stretches: Sequence[_Stretch], length: timedelta) -> datetime | None:
    """Inside a window by its share of the answered stretch; between two windows, where the later begins."""
    for one in stretches:
        if one.first <= moment <= one.last:
            whole = (one.last - one.first).total_seconds()
            share = (moment - one.first).total_seconds() / whole if whole else 0.0
            return one.span.start + length * share
    later = [one for one in stretches if one.first > moment]
    if later:
        first = later[0]
        before = [one for one in stretches if one.last < moment]
        # Long before anything was seen, it belongs to no window of these.
        near = before or first.first - moment <= max(length, timedelta(hours=1))
        return first.span.start if near else None
    last = stretches[-1]
    return last.span.end if moment - last.last <= max(length, timedelta(hours=1)) else None


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
