"""What is known of a flight before it leaves: the one path for training and serving."""

import polars as pl


def features(flights: pl.LazyFrame, *, planes: pl.LazyFrame) -> pl.LazyFrame:
    """One row of features per flight, in the flights' order; unknown readings and aircraft stay null."""
    departure = pl.col("scheduled_departure")
    aircraft = planes.select("tailnum", pl.col("year").alias("built"), "seats")
    return flights.join(aircraft, on="tailnum", how="left", maintain_order="left").select(
        "carrier",
        "origin",
        "dest",
        departure_hour=_number(departure.dt.hour()) + _number(departure.dt.minute()) / 60,
        arrival_hour=_number(pl.col("sched_arr_time") // 100) + _number(pl.col("sched_arr_time") % 100) / 60,
        weekday=_number(departure.dt.weekday()),
        distance=_number(pl.col("distance")),
        temp=_number(pl.col("temp")),
        dewp=_number(pl.col("dewp")),
        wind_speed=_number(pl.col("wind_speed")),
        precip=_number(pl.col("precip")),
        pressure=_number(pl.col("pressure")),
        visib=_number(pl.col("visib")),
        plane_age=_number(departure.dt.year() - pl.col("built")),
        seats=_number(pl.col("seats")),
    )


def _number(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.Float32)
