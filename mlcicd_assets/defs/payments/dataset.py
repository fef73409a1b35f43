"""What a day of payments must look like. Soft rules (`raise_warning=True`) warn, all others block."""

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData


class Payments(pa.DataFrameModel):
    """One card payment with what the processor knew at that moment, and its label.

    Times are UTC, amounts euros. The label is in the record, but is known only from `label_time` on.
    """

    transaction_id: pl.Int64 = pa.Field(ge=0)
    event_time: pl.Datetime
    customer_id: pl.Int32 = pa.Field(ge=0)
    merchant_id: pl.Int32 = pa.Field(ge=0)
    category: pl.String
    online: pl.Boolean
    amount: pl.Float64 = pa.Field(gt=0)
    distance_km: pl.Float64 = pa.Field(nullable=True, ge=0)  # from home to the shop; null online
    device_age_days: pl.Float64 = pa.Field(nullable=True, ge=0)  # null in a shop
    amount_over_mean: pl.Float64 = pa.Field(nullable=True, ge=0)  # null for a card without history
    payments_1h: pl.Int16 = pa.Field(ge=0)
    payments_24h: pl.Int16 = pa.Field(ge=0)
    merchant_fraud_rate: pl.Float64 = pa.Field(nullable=True, ge=0, le=1)  # days -35 to -8
    age_group: pl.String = pa.Field(isin=["18-25", "26-40", "41-60", "60+"])
    gender: pl.String = pa.Field(isin=["female", "male"])
    is_fraud: pl.Boolean = pa.Field(nullable=True)
    label_time: pl.Datetime = pa.Field(nullable=True)

    @pa.dataframe_check
    @classmethod
    def label_follows_payment(cls, data: PolarsData) -> pl.LazyFrame:
        """Nothing is known to be fraud before it happened."""
        return data.lazyframe.select(pl.col("label_time") >= pl.col("event_time"))

    @pa.dataframe_check
    @classmethod
    def hour_within_day(cls, data: PolarsData) -> pl.LazyFrame:
        """The last hour's payments are among the last day's."""
        return data.lazyframe.select(pl.col("payments_1h") <= pl.col("payments_24h"))

    @pa.dataframe_check
    @classmethod
    def device_is_known_online(cls, data: PolarsData) -> pl.LazyFrame:
        """Every online payment comes from a device."""
        return data.lazyframe.select(~pl.col("online") | pl.col("device_age_days").is_not_null())

    @pa.check("amount", raise_warning=True)
    @classmethod
    def amount_below_20000(cls, data: PolarsData) -> pl.LazyFrame:
        """Cards are rarely good for more."""
        return data.lazyframe.select(pl.col(data.key) < 20_000)

    @pa.check("category", raise_warning=True)
    @classmethod
    def category_is_known(cls, data: PolarsData) -> pl.LazyFrame:
        """A new category is not wrong, but no model has learned it."""
        known = "grocery fuel restaurant pharmacy fashion electronics travel gaming utilities jewellery"
        return data.lazyframe.select(pl.col(data.key).is_in([*known.split(), "digital_goods", "transfer"]))

    @pa.dataframe_check(raise_warning=True)
    @classmethod
    def fraud_below_5_percent(cls, data: PolarsData) -> pl.LazyFrame:
        """About 1 % is usual."""
        return data.lazyframe.select((pl.col("is_fraud").mean() < 0.05).fill_null(value=True))
