"""The weather service: lets the year's hourly readings land."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlcicd_assets.defs.flights.upstream import DATA, publish


def land(folder: Path, partitions: Sequence[str] = ()) -> list[Path]:  # noqa: ARG001 - not partitioned
    """Write `landing/weather/weather.parquet` under `folder`."""
    return [publish(pl.read_parquet(DATA / "weather.parquet"), folder / "landing/weather/weather.parquet")]
