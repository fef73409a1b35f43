"""The aircraft registry: lets the list of aircraft land."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mlcicd_assets.defs.flights.upstream import DATA, publish


def land(folder: Path, partitions: Sequence[str] = ()) -> list[Path]:  # noqa: ARG001 - not partitioned
    """Write `landing/planes/planes.parquet` under `folder`."""
    return [publish(pl.read_parquet(DATA / "planes.parquet"), folder / "landing/planes/planes.parquet")]
