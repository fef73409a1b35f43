"""Signals as two months of monitoring leave them: a version that goes blind, and the one that replaced it."""

import math
import random
from datetime import UTC, datetime, timedelta

from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import (
    ERRORS,
    FEATURE_DRIFT,
    LABELS,
    LATENCY,
    PERFORMANCE,
    SCORE_DRIFT,
    SHADOW,
    TRAFFIC,
    Signal,
)

START = datetime(2026, 4, 1, tzinfo=UTC)
DAYS = 45
CHANGED = 30  # the day on which version 2 took over
EPISODE = Episode(
    "performance",
    1,
    "2026-04-21T00:00",
    ("2026-04-20T00:00", "2026-04-21T00:00"),
    ("performance",),
    ending="replaced",
    by=2,
)


def signals(days: int = DAYS) -> list[Signal]:
    """Every signal of each day, drawn with a seed."""
    rng = random.Random(0)  # noqa: S311  a picture, no secret
    return [one for day in range(days) for one in _day(day, days, rng)]


def _day(day: int, days: int, rng: random.Random) -> list[Signal]:
    key = (START + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M")
    version = 2 if day >= CHANGED else 1
    rows = int(2_800 + 400 * math.sin(day) + rng.randrange(150))
    true = 0.62 if version == 2 or day < 17 else max(0.12, 0.62 - 0.09 * (day - 17))
    value = round(true + rng.uniform(-0.03, 0.03), 4)
    share = min(1.0, max(0.0, (days - day) / 14))
    first = datetime(2026, 4, 1, tzinfo=UTC) + timedelta(days=day, minutes=1)
    bad = version == 1 and day >= 19
    late = share < 0.8
    found = [
        Signal(
            key,
            version,
            TRAFFIC,
            "ok",
            float(rows),
            rows=rows,
            evidence={
                "requests": rows,
                "share": 1.0,
                "first": first.isoformat(),
                "last": (first + timedelta(hours=23)).isoformat(),
                "scoring_ms": {"p50": 0.6, "p99": round(1.8 + rng.random(), 2)},
                "sample": 1.0,
            },
        ),
        Signal(key, version, ERRORS, "ok", 0.0004, bound="<= 0.01", rows=rows),
        Signal(key, version, LATENCY, "ok", 4.0 + rng.random(), rows=rows),
        Signal(
            key,
            version,
            SCORE_DRIFT,
            "ok",
            round(0.02 + 0.05 * rng.random(), 4),
            bound="psi <= 0.2",
            rows=rows,
            evidence={
                "scores": {
                    "low": 0.0,
                    "high": 1.0,
                    "reference": [0.6 * 0.6**n + 0.002 for n in range(20)],
                    "window": [0.57 * 0.62**n + 0.002 for n in range(20)],
                }
            },
        ),
        Signal(
            key,
            version,
            FEATURE_DRIFT,
            "violated" if day == days - 1 else "ok",
            0.31 if day == days - 1 else round(0.04 + 0.06 * rng.random(), 4),
            bound="psi <= 0.2",
            rows=rows,
            reason="1 of 11 drifted (psi <= 0.2): log_amount 0.31" if day == days - 1 else "",
            evidence={
                "effects": [
                    ["log_amount", "drifted" if day == days - 1 else "stable", "psi", 0.31, 0.2],
                    *[
                        [name, "stable", "psi", round(0.15 * rng.random(), 4), 0.2]
                        for name in (
                            "hour",
                            "merchant_fraud_rate",
                            "device_age_days",
                            "distance_km",
                            "online",
                        )
                    ],
                ]
            },
        ),
        Signal(
            key,
            version,
            LABELS,
            "waiting" if late else "ok",
            round(share, 3),
            bound=">= 0.8",
            rows=rows,
            reason=f"{share:.0%} of the labels have come; waiting for 80 %" if late else "",
        ),
        Signal(
            key,
            version,
            PERFORMANCE,
            "waiting" if late else "violated" if bad else "ok",
            None if late else value,
            None if late else round(value - 0.07, 4),
            None if late else round(value + 0.07, 4),
            ">= 0.49",
            0.6125,
            int(rows * share),
            f"{share:.0%} of the labels have come; waiting for 80 %"
            if late
            else f"average_precision {value} must be >= 0.49"
            if bad
            else "",
            {"metric": "average_precision"},
        ),
    ]
    if CHANGED - 2 <= day < CHANGED:
        found.append(
            Signal(
                key,
                2,
                SHADOW,
                "ok",
                0.31,
                0.22,
                0.4,
                reference=value,
                rows=rows,
                evidence={"metric": "average_precision", "shadow": 0.6, "verdict": "better"},
            )
        )
    return found
