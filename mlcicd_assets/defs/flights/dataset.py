"""What a month of flights must look like. Soft rules (`raise_warning=True`) warn, all others block."""

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData


class Flights(pa.DataFrameModel):
    """One scheduled departure from New York, its weather at that hour, and how it went.

    Clock columns are local HHMM (midnight also as 2400), delays and air time minutes (negative: early),
    distances miles. A cancelled or diverted flight has no arrival: `arr_delay` is null, no label.
    """

    scheduled_departure: pl.Datetime  # local, New York
    carrier: pl.String = pa.Field(str_matches=r"^[A-Z0-9]{2}$")
    flight: pl.Int16 = pa.Field(ge=1)
    tailnum: pl.String = pa.Field(nullable=True)
    origin: pl.String = pa.Field(isin=["EWR", "JFK", "LGA"])
    dest: pl.String = pa.Field(str_matches=r"^[A-Z]{3}$")
    distance: pl.Int16 = pa.Field(ge=1, le=6000)
    sched_arr_time: pl.Int16 = pa.Field(ge=0, le=2400)
    dep_time: pl.Int16 = pa.Field(nullable=True, ge=0, le=2400)
    dep_delay: pl.Int16 = pa.Field(nullable=True, ge=-180)
    arr_time: pl.Int16 = pa.Field(nullable=True, ge=0, le=2400)
    arr_delay: pl.Int16 = pa.Field(nullable=True, ge=-180)
    air_time: pl.Int16 = pa.Field(nullable=True, ge=1)
    temp: pl.Float64 = pa.Field(nullable=True, ge=-40, le=130)  # °F
    dewp: pl.Float64 = pa.Field(nullable=True, ge=-60, le=100)  # °F
    humid: pl.Float64 = pa.Field(nullable=True, ge=0, le=100)  # %
    wind_dir: pl.Int16 = pa.Field(nullable=True, ge=0, le=360)  # degrees
    wind_speed: pl.Float64 = pa.Field(nullable=True, ge=0)  # miles per hour
    wind_gust: pl.Float64 = pa.Field(nullable=True, ge=0)
    precip: pl.Float64 = pa.Field(nullable=True, ge=0)  # inches in the hour
    pressure: pl.Float64 = pa.Field(nullable=True, ge=850, le=1100)  # mbar
    visib: pl.Float64 = pa.Field(nullable=True, ge=0)  # miles

    @pa.dataframe_check
    @classmethod
    def arrival_needs_departure(cls, data: PolarsData) -> pl.LazyFrame:
        """A flight that never left has no arrival."""
        return data.lazyframe.select(pl.col("dep_time").is_not_null() | pl.col("arr_delay").is_null())

    @pa.dataframe_check
    @classmethod
    def origin_is_not_destination(cls, data: PolarsData) -> pl.LazyFrame:
        """A flight goes somewhere."""
        return data.lazyframe.select(pl.col("origin") != pl.col("dest"))

    @pa.check("dep_delay", raise_warning=True)
    @classmethod
    def delay_within_a_day(cls, data: PolarsData) -> pl.LazyFrame:
        """More than a day late is more often a typing error."""
        return data.lazyframe.select(pl.col(data.key) < 24 * 60)

    @pa.check("wind_speed", raise_warning=True)
    @classmethod
    def wind_below_150_mph(cls, data: PolarsData) -> pl.LazyFrame:
        """No airport sends flights out in more."""
        return data.lazyframe.select(pl.col(data.key) < 150)

    @pa.dataframe_check(raise_warning=True)
    @classmethod
    def arrivals_mostly_known(cls, data: PolarsData) -> pl.LazyFrame:
        """At least 80 % of the flights have arrived; a month with fewer looks incomplete."""
        return data.lazyframe.select(pl.col("arr_delay").is_not_null().mean() >= 0.8)
