"""Reading what the servers recorded of their predictions."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from resources.protocols import Environment, Lake

_SCHEMA = {
    "request_id": pl.String(),
    "client_id": pl.String(),
    "row": pl.Int32(),
    "at": pl.Datetime("us", "UTC"),
    "role": pl.String(),
    "latency_ms": pl.Float32(),
    "score": pl.Float64(),
    "label": pl.String(),
    "environment": pl.String(),
    "model": pl.String(),
    "version": pl.Int32(),
}


class PredictionFolder:
    """The log of one serving folder: `predictions/<environment>/<model>/<version>/*.parquet`."""

    def __init__(self, serving: Path) -> None:
        self._folder = serving / "predictions"

    def scan(
        self,
        model: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        environment: Environment = "production",
        versions: Sequence[int] | None = None,
    ) -> pl.LazyFrame:
        """Predicted rows with start <= at < end; see Predictions."""
        files = self._files(model, environment, versions)
        if not files:
            return pl.LazyFrame(schema=_SCHEMA)
        # Versions may differ in what they take: each file has its own inputs.
        rows = pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed")
        if start is not None:
            rows = rows.filter(pl.col("at") >= start)
        return rows if end is None else rows.filter(pl.col("at") < end)

    def files(self, model: str, environment: Environment = "production") -> list[Path]:
        """The files that count, of all versions, by name."""
        return self._files(model, environment, None)

    def _files(self, model: str, environment: Environment, versions: Sequence[int] | None) -> list[Path]:
        folder = self._folder / environment / model
        found = [path for path in folder.glob("*") if path.name.isdigit()]
        wanted = [path for path in found if versions is None or int(path.name) in versions]
        return [file for path in sorted(wanted) for file in counted(path)]


def counted(folder: Path) -> list[Path]:
    """The files of one version that count: one that is part of a merged file does not."""
    named = []
    for path in folder.glob("*.parquet"):
        process, _, flushes = path.stem.partition("-")
        first, _, last = flushes.partition("-")
        if process and first.isdigit() and last.isdigit():
            named.append((process, int(first), -int(last), path))
    kept: list[tuple[str, int, int, Path]] = []
    for file in sorted(named):
        within = kept and kept[-1][0] == file[0] and file[2] >= kept[-1][2]
        if not within:
            kept.append(file)
    return [path for *_, path in kept]


_INPUT = "input_"
_IDENTITY = ["version", "request_id", "row", "at"]


def table_name(model: str) -> str:
    """The lake's table of past days."""
    return f"{model}/predictions"


def flat(rows: pl.DataFrame) -> pl.DataFrame:
    """The recorded columns beside the others, as the table has them: `input_amount`."""
    if "inputs" not in rows.columns:
        return rows
    inputs = rows["inputs"].struct.unnest()
    named = inputs.rename({name: f"{_INPUT}{name}" for name in inputs.columns})
    return rows.drop("inputs").hstack(named)


def nested(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Undo `flat`, in the log's own types."""
    schema = rows.collect_schema()
    names = [name for name in schema if name.startswith(_INPUT)]
    others = [(name, dtype) for name, dtype in schema.items() if name not in names]
    plain = [pl.col(name).cast(_SCHEMA.get(name, dtype)) for name, dtype in others]
    fields = [pl.col(name).alias(name.removeprefix(_INPUT)) for name in names]
    return rows.select(*plain, *([pl.struct(fields).alias("inputs")] if fields else []))


class RecordedPredictions:
    """Implements `Predictions`: what is still in the folder, and the days that went into the lake.

    A row that is in both, because a compaction was ended between writing and removing, counts once.
    """

    def __init__(self, folder: PredictionFolder, lake: Lake) -> None:
        self.folder = folder
        self._lake = lake

    def scan(
        self,
        model: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        environment: Environment = "production",
        versions: Sequence[int] | None = None,
    ) -> pl.LazyFrame:
        """Predicted rows with start <= at < end; see Predictions."""
        fresh = self.folder.scan(model, start, end, environment=environment, versions=versions)
        days = self._days(model, start, end)
        if environment != "production" or not days:  # nothing else is compacted
            return fresh
        past = nested(self._lake.scan(table_name(model), partitions=days))
        if start is not None:
            past = past.filter(pl.col("at") >= start)
        if end is not None:
            past = past.filter(pl.col("at") < end)
        if versions is not None:
            past = past.filter(pl.col("version").is_in(list(versions)))
        twice = pl.col("at").dt.strftime("%Y-%m-%d").is_in(days)
        if fresh.select(twice.any()).collect().item():
            known = past.select(_IDENTITY)
            fresh = pl.concat(
                [fresh.filter(~twice), fresh.filter(twice).join(known, on=_IDENTITY, how="anti")],
                how="diagonal_relaxed",
            )
        return pl.concat([past, fresh], how="diagonal_relaxed")

    def _days(self, model: str, start: datetime | None, end: datetime | None) -> list[str]:
        first = start.date().isoformat() if start else ""
        last = end.date().isoformat() if end else "9999"
        kept = self._lake.versions(table_name(model))
        return sorted(day for day, one in kept.items() if day and one.rows and first <= day <= last)
