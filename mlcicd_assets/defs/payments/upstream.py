"""The card processor: lets each day's payments land.

`MLCICD_PAYMENTS_SCENARIO` (none, covariate, concept, prior, festival, tactics or all) switches drift on from
day 90, 1 April 2026; `MLCICD_PAYMENTS_SEED` (0) draws another town.
"""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from mlcicd_assets.defs.payments import history
from mlcicd_assets.defs.payments.population import AGE_GROUPS, CATEGORIES, GENDERS, draw_population
from mlcicd_assets.defs.payments.simulator import DAY, Scenario, draw_day

START = date(2026, 1, 1)


def land(folder: Path, partitions: Sequence[str]) -> list[Path]:
    """Write `landing/payments/2026-01-01.parquet` and so on under `folder`; returns the files."""
    scenario = Scenario.named(os.environ.get("MLCICD_PAYMENTS_SCENARIO") or "none")
    seed = int(os.environ.get("MLCICD_PAYMENTS_SEED") or 0)
    paths = []
    for key in partitions:
        frame = payments_of(date.fromisoformat(key), seed, scenario)
        paths.append(_publish(frame, folder / f"landing/payments/{key}.parquet"))
    return paths


def payments_of(when: date, seed: int = 0, scenario: Scenario | None = None) -> pl.DataFrame:
    """The records of one day as the processor writes them; what it cannot know is null."""
    scenario, day = scenario or Scenario(), (when - START).days
    town, today = draw_population(seed), draw_day(seed, scenario, day)
    customers, merchants = town.customers, town.merchants
    apart = np.hypot(*(customers.place[today.customer] - merchants.place[today.merchant]).T)
    number = int(when.strftime("%Y%m%d")) * 1_000_000 + np.arange(len(today.customer))
    return pl.DataFrame(
        {
            "transaction_id": number,
            "event_time": _times(today.seconds),
            "customer_id": today.customer.astype(np.int32),
            "merchant_id": today.merchant.astype(np.int32),
            "category": CATEGORIES[merchants.category[today.merchant]],
            "online": today.online,
            "amount": today.amount,
            "distance_km": np.where(today.online, np.nan, apart),
            "device_age_days": today.device_age,
            "amount_over_mean": history.amount_over_mean(seed, scenario, day),
            "payments_1h": history.earlier_payments(seed, scenario, day, 3600).astype(np.int16),
            "payments_24h": history.earlier_payments(seed, scenario, day, DAY).astype(np.int16),
            "merchant_fraud_rate": history.merchant_fraud_rate(seed, scenario, day),
            "age_group": AGE_GROUPS[customers.age[today.customer]],
            "gender": GENDERS[customers.gender[today.customer]],
            "is_fraud": today.fraud,
            "label_time": _times(today.label_seconds),
        },
        nan_to_null=True,
    )


def _times(seconds: np.ndarray) -> np.ndarray:
    """UTC, without a zone."""
    return np.datetime64(START, "us") + seconds.astype("timedelta64[s]")


def _publish(frame: pl.DataFrame, path: Path) -> Path:
    """Write Parquet aside and rename it, so that nobody ever sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    frame.write_parquet(unfinished, compression="zstd")
    return unfinished.replace(path)
