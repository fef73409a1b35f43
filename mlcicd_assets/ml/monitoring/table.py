"""`<model>/monitoring` and `<model>/episodes`: signals and episodes as rows, and back."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

import polars as pl

from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import Signal
from mlcicd_assets.ml.monitoring.windows import span_of, utc

SCHEMA: dict[str, pl.DataType] = {
    "window": pl.String(),
    "start": pl.Datetime("us", "UTC"),
    "end": pl.Datetime("us", "UTC"),
    "as_of": pl.Datetime("us", "UTC"),  # what was known until then
    "version": pl.Int64(),
    "signal": pl.String(),
    "state": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "bound": pl.String(),
    "reference": pl.Float64(),
    "rows": pl.Int64(),
    "reason": pl.String(),
    "evidence": pl.String(),  # JSON
}
_EPISODES: dict[str, pl.DataType] = {
    "cause": pl.String(),
    "version": pl.Int64(),
    "began": pl.String(),
    "violated": pl.String(),  # JSON, as are the signals
    "signals": pl.String(),
    "ended": pl.String(),
    "ending": pl.String(),
    "by": pl.Int64(),
    "unhelped": pl.String(),
}


def table_name(model: str) -> str:
    """The lake table of signals; one partition for each window, by its key."""
    return f"{model}/monitoring"


def episodes_name(model: str) -> str:
    """The lake table of episodes."""
    return f"{model}/episodes"


def to_frame(signals: Iterable[Signal], length: timedelta, as_of: datetime) -> pl.DataFrame:
    """The rows of one or several windows."""
    rows = []
    for one in signals:
        span = span_of(one.window, length)
        about = {"start": span.start, "end": span.end, "as_of": utc(as_of), "signal": one.name}
        fields = {
            name: getattr(one, name)
            for name in ("window", "version", "state", "value", "low", "high", "bound", "reference", "rows")
        }
        rows.append({**about, **fields, "reason": one.reason, "evidence": one.facts})
    return pl.DataFrame(rows, schema=SCHEMA).sort("window", "version", "signal")


def from_frame(frame: pl.DataFrame) -> list[Signal]:
    """Undo `to_frame`, in the order of windows."""
    return [
        Signal(
            window=row["window"],
            version=row["version"],
            name=row["signal"],
            state=row["state"],
            value=row["value"],
            low=row["low"],
            high=row["high"],
            bound=row["bound"],
            reference=row["reference"],
            rows=row["rows"],
            reason=row["reason"],
            evidence=json.loads(row["evidence"]),
        )
        for row in frame.sort("window", "version", "signal").iter_rows(named=True)
    ]


def episodes_frame(episodes: Sequence[Episode]) -> pl.DataFrame:
    """All of a model's episodes."""
    rows = [
        {**asdict(one), "violated": json.dumps(one.violated), "signals": json.dumps(one.signals)}
        for one in episodes
    ]
    return pl.DataFrame(rows, schema=_EPISODES)


def episodes_of(frame: pl.DataFrame) -> list[Episode]:
    """Undo `episodes_frame`, oldest first."""
    found = [
        Episode(
            **{
                **row,
                "violated": tuple(json.loads(row["violated"])),
                "signals": tuple(json.loads(row["signals"])),
            }
        )
        for row in frame.select(list(_EPISODES)).iter_rows(named=True)
    ]
    return sorted(found, key=lambda one: (one.began, one.cause, one.version))
