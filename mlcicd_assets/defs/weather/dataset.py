"""What a year of hourly weather must look like. Soft rules (`raise_warning=True`) warn, all others block."""

from typing import Annotated

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData


class Weather(pa.DataFrameModel):
    """One reading at one airport in one UTC hour; readings that were not taken are null."""

    origin: pl.String = pa.Field(isin=["EWR", "JFK", "LGA"])
    time_hour: Annotated[pl.Datetime, "us", "UTC"]
    temp: pl.Float64 = pa.Field(nullable=True, ge=-40, le=130)  # °F
    dewp: pl.Float64 = pa.Field(nullable=True, ge=-60, le=100)  # °F
    humid: pl.Float64 = pa.Field(nullable=True, ge=0, le=100)  # %
    wind_dir: pl.Int16 = pa.Field(nullable=True, ge=0, le=360)  # degrees
    wind_speed: pl.Float64 = pa.Field(nullable=True, ge=0)  # miles per hour
    wind_gust: pl.Float64 = pa.Field(nullable=True, ge=0)
    precip: pl.Float64 = pa.Field(nullable=True, ge=0)  # inches in the hour
    pressure: pl.Float64 = pa.Field(nullable=True, ge=850, le=1100)  # mbar
    visib: pl.Float64 = pa.Field(nullable=True, ge=0)  # miles

    @pa.check("wind_speed", raise_warning=True)
    @classmethod
    def wind_below_150_mph(cls, data: PolarsData) -> pl.LazyFrame:
        """The source holds one reading of 1,048 mph (EWR, 12 February 2013, 03:00): a broken instrument."""
        return data.lazyframe.select(pl.col(data.key) < 150)
