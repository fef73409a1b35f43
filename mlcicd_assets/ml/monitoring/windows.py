"""The windows that production is looked at in: one after another, on whole hours, days or weeks of UTC."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlcicd_assets.ml.thresholds import parse_duration

# A Monday midnight, so that weeks begin where people expect it.
_ANCHOR = datetime(2001, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def window_length(text: str) -> timedelta:
    """The length of a window; raises ValueError where windows would not begin at the same time each day."""
    length = parse_duration(text)
    if length < _MINUTE or (_DAY % length and length % _DAY):
        raise ValueError(f"a window divides a day, or is whole days: '15m', '1h', '1d' or '1w', not {text!r}")
    return length


@dataclass(frozen=True, order=True)
class Span:
    """One window: start <= time < end, UTC."""

    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """Its name, and the partition that its results are kept under: 2026-04-09T00:00."""
        return self.start.strftime("%Y-%m-%dT%H:%M")

    def __str__(self) -> str:
        last = self.end - timedelta(microseconds=1)
        if self.end - self.start >= _DAY:
            return f"{self.start:%Y-%m-%d}" + (
                f" … {last:%Y-%m-%d}" if last.date() > self.start.date() else ""
            )
        return f"{self.start:%Y-%m-%d %H:%M}"


def span_at(moment: datetime, length: timedelta) -> Span:
    """The window that a moment lies in."""
    start = _ANCHOR + ((utc(moment) - _ANCHOR) // length) * length
    return Span(start, start + length)


def span_of(key: str, length: timedelta) -> Span:
    """A window by its name; raises ValueError."""
    start = datetime.strptime(key, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    return Span(start, start + length)


def last_spans(as_of: datetime, length: timedelta, count: int) -> list[Span]:
    """The last windows that are over at a moment, oldest first."""
    end = span_at(as_of, length).start
    return [Span(end - length * (n + 1), end - length * n) for n in reversed(range(count))]


def due_spans(
    as_of: datetime,
    length: timedelta,
    *,
    known: Iterable[str],
    open_: Iterable[str],
    patience: timedelta,
    at_most: int,
) -> list[Span]:
    """The newest window, those since the last known one, and those that still wait for labels.

    `known` and `open_` are keys of windows that were looked at, `open_` those that were not settled. A window
    is looked at again until it has been settled, or `patience` after its end. Of very many, the newest.
    """
    newest = last_spans(as_of, length, 1)[0]
    seen = sorted(key for key in known if key <= newest.key)
    wanted = {newest}
    if seen:
        after = span_of(seen[-1], length).end
        missed = min((newest.start - after) // length, at_most)
        wanted |= set(last_spans(as_of, length, missed + 1)) if missed > 0 else set()
    for key in open_:
        span = span_of(key, length)
        if key <= newest.key and span.end + patience >= utc(as_of):
            wanted.add(span)
    return sorted(wanted)[-at_most:]


def utc(moment: datetime) -> datetime:
    """With its zone; a moment without one is UTC."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
