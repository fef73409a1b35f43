"""Past days of the prediction log, from the servers' files into the lake's table `<model>/predictions`.

First the whole day is in the lake, then the files go. Ended in between, a row is in both places: readers
count it once (`RecordedPredictions`), and the next compaction removes the file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from resources.archive import Compacted
from resources.predictions import PredictionFolder, flat, nested, table_name
from resources.protocols import Environment, Lake, Predictions, ResourceError, TableVersion

# After the end of a day its last rows are still on their way to the disk.
_SETTLED = timedelta(hours=1)
_IDENTITY = ["version", "request_id", "row", "at"]


@dataclass(frozen=True)
class LakeArchive:
    """Implements `PredictionArchive` for the files of one serving folder."""

    folder: PredictionFolder
    lake: Lake

    def compact_past(self, model: str, now: datetime, *, keep: timedelta) -> Sequence[Compacted]:
        """See PredictionArchive."""
        return compact_past(self.folder, self.lake, model, now, keep=keep)


def compact(
    predictions: Predictions, lake: Lake, model: str, day: date, *, environment: Environment = "production"
) -> TableVersion | None:
    """Put a day (UTC) of a model's log into the lake's table; None without rows.

    The recorded columns become columns named `input_…`. What the lake has of the day stays. Again for the
    same rows, it writes nothing.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    fresh = predictions.scan(model, start, start + timedelta(days=1), environment=environment)
    rows = pl.concat([_kept(lake, model, day), fresh], how="diagonal_relaxed").collect()
    rows = rows.unique(_IDENTITY, keep="first", maintain_order=True)
    if rows.is_empty():
        return None
    return lake.write(table_name(model), flat(rows), partition=day.isoformat())


def compact_past(
    folder: PredictionFolder, lake: Lake, model: str, now: datetime, *, keep: timedelta
) -> list[Compacted]:
    """Every day that is over, oldest first; then the files that hold nothing else are removed.

    Days older than `keep` are emptied in the lake too: the declaration promises that they are deleted.
    Raises ResourceError where a day cannot be written or a file not be read; nothing is lost.
    """
    limit = (now - _SETTLED).astimezone(UTC).date()
    done = []
    days = sorted({day for path in folder.files(model) for day in _days_of(path)})
    for day in days:
        if day < limit:
            written = compact(folder, lake, model, day)
            gone = sum(_without(path, day) for path in folder.files(model))
            done.append(Compacted(day, written.rows if written else 0, gone))
    forget(lake, model, (now - keep).date())
    return done


def forget(lake: Lake, model: str, before: date) -> list[str]:
    """Empty the days before a date, and delete what they were; returns those days."""
    table = table_name(model)
    old = [key for key, one in lake.versions(table).items() if key and one.rows and key < before.isoformat()]
    for key in sorted(old):
        empty = lake.scan(table, partitions=[key]).head(0).collect()
        lake.write(table, empty, partition=key)
    if old:
        lake.vacuum(table, older_than=timedelta(0), dry_run=False)
    return sorted(old)


def _kept(lake: Lake, model: str, day: date) -> pl.LazyFrame:
    versions = lake.versions(table_name(model))
    if day.isoformat() not in versions:
        return pl.LazyFrame()
    return nested(lake.scan(table_name(model), partitions=[day.isoformat()]))


def _days_of(path: Path) -> list[date]:
    found: list[date] = _read(path).select(pl.col("at").dt.date().unique()).collect()["at"].to_list()
    return found


def _without(path: Path, day: date) -> bool:
    """Take a day's rows out of a file, and the file away where nothing is left; whether it had any."""
    rows = _read(path).collect()
    left = rows.filter(pl.col("at").dt.date() != day)
    if left.height == rows.height:
        return False
    if left.is_empty():
        path.unlink(missing_ok=True)
        return True
    scratch = path.with_suffix(".compacting")
    left.write_parquet(scratch, compression="zstd", compression_level=1, statistics=False)
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.replace(path)
    return True


def _read(path: Path) -> pl.LazyFrame:
    try:
        rows = pl.scan_parquet(path)
        rows.collect_schema()
    except FileNotFoundError:  # the server has merged it into another one meanwhile
        return pl.LazyFrame(schema={"at": pl.Datetime("us", "UTC")})
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ResourceError(f"{path} cannot be read ({error}): move it away to go on") from error
    return rows
