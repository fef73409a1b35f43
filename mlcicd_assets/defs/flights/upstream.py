"""The airports' operational system: lets each month's flights land, with the weather logged at departure."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

DATA = Path(__file__).parent / "data"


def land(folder: Path, partitions: Sequence[str]) -> list[Path]:
    """Write `landing/flights/2013-01.parquet` and so on under `folder`; returns the files.

    Raises ValueError for a month that has no flights.
    """
    weather = pl.read_parquet(DATA / "weather.parquet")
    return [
        publish(with_weather(vendored_month(month), weather), folder / f"landing/flights/{month}.parquet")
        for month in partitions
    ]


def vendored_month(month: str) -> pl.DataFrame:
    """The flights of one month as vendored."""
    path = DATA / "flights" / f"{month}.parquet"
    if not path.is_file():
        raise ValueError(f"no flights are known for {month!r}; months are 2013-01 to 2013-12")
    return pl.read_parquet(path)


def with_weather(flights: pl.DataFrame, weather: pl.DataFrame) -> pl.DataFrame:
    """Add the reading at the origin in the hour of the scheduled departure; nulls where none was taken."""
    hour = (
        pl.col("scheduled_departure")
        .dt.replace_time_zone("America/New_York", ambiguous="earliest")
        .dt.convert_time_zone("UTC")
        .dt.truncate("1h")
    )
    return (
        flights.with_columns(hour.alias("time_hour"))
        .join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .drop("time_hour")
    )


def publish(frame: pl.DataFrame, path: Path) -> Path:
    """Write Parquet aside and rename it, so that nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    frame.write_parquet(unfinished, compression="zstd")
    return unfinished.replace(path)
