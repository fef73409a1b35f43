"""What is known of a payment when it must be allowed or stopped: the one path for training and serving."""

import polars as pl


def features(payments: pl.LazyFrame) -> pl.LazyFrame:
    """One row of features per payment, in the payments' order; what is unknown stays null."""
    time = pl.col("event_time")
    return payments.select(
        "category",
        online=_number(pl.col("online")),
        log_amount=_number(pl.col("amount").log1p()),
        amount_over_mean=_number(pl.col("amount_over_mean")),
        payments_1h=_number(pl.col("payments_1h")),
        payments_24h=_number(pl.col("payments_24h")),
        merchant_fraud_rate=_number(pl.col("merchant_fraud_rate")),
        distance_km=_number(pl.col("distance_km")),
        device_age_days=_number(pl.col("device_age_days")),
        hour=_number(time.dt.hour()) + _number(time.dt.minute()) / 60,
        weekday=_number(time.dt.weekday()),
    )


def _number(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.Float32)
