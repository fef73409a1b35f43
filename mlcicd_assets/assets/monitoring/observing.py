"""Looking at every window that is due, and keeping what was found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlcicd_assets.assets.monitoring.kept import history, keep_window, open_windows
from mlcicd_assets.assets.monitoring.looking import Look, Observer
from mlcicd_assets.assets.monitoring.watched_versions import WatchedVersions
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.monitoring.signals import TRAFFIC, Signal
from mlcicd_assets.ml.monitoring.windows import Span, due_spans, last_spans, span_of, window_length
from mlcicd_assets.ml.thresholds import parse_duration
from resources.protocols import (
    Lake,
    Ledger,
    ModelVersion,
    Predictions,
    Registry,
    Reports,
    ServingTarget,
    Tracking,
    TrafficHistory,
)

# Windows that one run makes up for: two months of days.
AT_MOST = 60


@dataclass(frozen=True)
class World:
    """What monitoring reads and writes."""

    lake: Lake
    tracking: Tracking
    registry: Registry
    ledger: Ledger
    serving: ServingTarget
    predictions: Predictions
    traffic_history: TrafficHistory
    reports: Reports


@dataclass
class Observed:
    """What one run found."""

    champion: ModelVersion
    as_of: datetime
    looks: list[Look]
    written: int
    signals: list[Signal] = field(default_factory=list)  # of every kept window until the moment


def observe(
    lane: ModelLane,
    world: World,
    versions: WatchedVersions,
    current: ModelVersion,
    as_of: datetime,
    now: datetime,
    windows: int | None = None,
) -> Observed:
    """Look at the windows that are due and keep what was found; `current` is the champion.

    `now` is the wall clock, by which the counters of proxy and servers are read.
    """
    model = lane.model.name
    world.traffic_history.note("production", model, world.serving.traffic("production", model), now)
    length = window_length(lane.model.monitor.window)
    before = history(world.lake, model, length=length)
    spans = due(lane, before, as_of, windows)
    observer = _observer(lane, world, versions, current.version, as_of, spans, before)
    looks, written = [], 0
    for span in spans:
        look = observer.look(span, [one for one in before if one.window == span.key])
        _first(lane, observer, look)
        written += keep_window(world.lake, lane, look.signals, as_of)
        looks.append(look)
    until = max((span.key for span in spans), default=None)
    return Observed(current, as_of, looks, written, history(world.lake, model, until=until, length=length))


def due(lane: ModelLane, before: Sequence[Signal], as_of: datetime, windows: int | None) -> list[Span]:
    """Which windows are looked at."""
    monitor = lane.model.monitor
    length = window_length(monitor.window)
    if windows is not None:
        return last_spans(as_of, length, windows)
    return due_spans(
        as_of,
        length,
        known={one.window for one in before},
        open_=open_windows(before),
        patience=parse_duration(monitor.patience),
        at_most=AT_MOST,
    )


def _observer(
    lane: ModelLane,
    world: World,
    versions: WatchedVersions,
    champion: int,
    as_of: datetime,
    spans: Sequence[Span],
    before: Sequence[Signal],
) -> Observer:
    model, monitor = lane.model.name, lane.model.monitor
    length = window_length(monitor.window)
    by_request = monitor.clock == "request"
    start, end = (spans[0].start, spans[-1].end) if by_request else (None, None)
    firsts: dict[int, Span] = {}
    for one in before:  # oldest first
        if one.name == TRAFFIC and one.rows >= monitor.minimum_rows:
            firsts.setdefault(one.version, span_of(one.window, length))
    return Observer(
        lane=lane,
        lake=world.lake,
        scan=lambda: world.predictions.scan(model, start, end),
        versions=versions,
        champion=champion,
        as_of=as_of,
        counts=lambda start, end: world.traffic_history.between("production", model, start, end),
        since=spans[0].start,
        first_windows=firsts,
    )


def _first(lane: ModelLane, observer: Observer, look: Look) -> None:
    """A version's first window with enough rows, where that is what it is compared with."""
    for one in look.signals:
        if one.name == TRAFFIC and one.rows >= lane.model.monitor.minimum_rows:
            observer.first_windows.setdefault(one.version, look.span)
