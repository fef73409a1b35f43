"""Reading what the servers recorded of their predictions."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from resources.protocols import Environment, Lake, Predictions, TableVersion

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


def compact(
    predictions: Predictions, lake: Lake, model: str, day: date, *, environment: Environment = "production"
) -> TableVersion | None:
    """Put a day (UTC) of a model's log into the lake's table `<model>/predictions`; None without rows.

    The recorded columns become columns named `input_…`. Again for the same rows, it writes nothing.
    """
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rows = predictions.scan(model, start, start + timedelta(days=1), environment=environment).collect()
    if rows.is_empty():
        return None
    if "inputs" in rows.columns:
        inputs = rows["inputs"].struct.unnest()
        named = inputs.rename({name: f"input_{name}" for name in inputs.columns})
        rows = rows.drop("inputs").hstack(named)
    return lake.write(f"{model}/predictions", rows, partition=day.isoformat())
