"""What the list of aircraft must look like. Soft rules (`raise_warning=True`) warn, all others block."""

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData


class Planes(pa.DataFrameModel):
    """One aircraft by its tail number."""

    tailnum: pl.String = pa.Field(str_matches=r"^[A-Z0-9]+$")
    year: pl.Int16 = pa.Field(nullable=True, ge=1900, le=2100)  # built
    type: pl.String
    manufacturer: pl.String
    model: pl.String
    engines: pl.Int16 = pa.Field(ge=0, le=8)
    seats: pl.Int16 = pa.Field(ge=1, le=900)
    speed: pl.Int16 = pa.Field(nullable=True, ge=1)  # cruising, miles per hour
    engine: pl.String

    @pa.check("seats", raise_warning=True)
    @classmethod
    def mostly_airliners(cls, data: PolarsData) -> pl.LazyFrame:
        """Fewer than ten seats is a private aircraft: rare, but kept, for flights refer to it."""
        return data.lazyframe.select((pl.col(data.key) >= 10).mean() >= 0.95)
