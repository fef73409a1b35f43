"""What monitoring has kept in the lake: signals by window, and the episodes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import LABELS, Signal
from mlcicd_assets.ml.monitoring.table import (
    episodes_frame,
    episodes_name,
    episodes_of,
    from_frame,
    table_name,
    to_frame,
)
from mlcicd_assets.ml.monitoring.windows import utc, window_length
from resources.protocols import Lake

# The newest windows that are read: enough for every rule, and for a year of days on the page.
HISTORY = 400


def history(
    lake: Lake, model: str, *, until: str | None = None, length: timedelta | None = None
) -> list[Signal]:
    """The signals of the newest windows, oldest first; `until` is the newest one that counts.

    Only windows of this `length` count, where one is given: those from before the declaration was changed
    overlap them.
    """
    kept = sorted(key for key in lake.versions(table_name(model)) if key is not None)
    keys = [key for key in kept if until is None or key <= until][-HISTORY:]
    if not keys:
        return []
    rows = lake.scan(table_name(model), partitions=keys)
    same = pl.lit(value=True) if length is None else pl.col("end") - pl.col("start") == length
    return from_frame(rows.filter(same).collect())


def open_windows(signals: Sequence[Signal]) -> set[str]:
    """The windows of which more labels may come."""
    return {
        one.window
        for one in signals
        if one.name == LABELS and one.value is not None and one.value < 1.0 and one.rows > 0
    }


def keep_window(lake: Lake, lane: ModelLane, signals: Sequence[Signal], as_of: datetime) -> bool:
    """Replace a window's rows; False where they stay: they say the same, or were found at a later moment."""
    model, length = lane.model.name, window_length(lane.model.monitor.window)
    table, frame = table_name(model), to_frame(signals, length, as_of)
    key = signals[0].window
    if key in lake.versions(table):
        before = lake.scan(table, partitions=[key]).collect().select(frame.columns)
        newer = before["as_of"].max()
        if isinstance(newer, datetime) and newer > utc(as_of):
            return False
        order = ["version", "signal"]
        if before.drop("as_of").sort(order).equals(frame.drop("as_of").sort(order)):
            return False
    lake.write(table, frame, partition=key)
    return True


def episodes(lake: Lake, model: str) -> list[Episode]:
    """Every episode, oldest first."""
    table = episodes_name(model)
    if not lake.versions(table):
        return []
    return episodes_of(lake.scan(table).collect())


def keep_episodes(lake: Lake, model: str, found: Sequence[Episode]) -> None:
    """Replace the table; nothing is written while there was never one."""
    table = episodes_name(model)
    if found or lake.versions(table):
        lake.write(table, episodes_frame(found) if found else pl.DataFrame(schema=episodes_frame([]).schema))
