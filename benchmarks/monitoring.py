"""One window with 1,000,000 predicted rows: read, joined to labels, drift of 11 features, performance.

Run from the project's root: `python -m benchmarks.monitoring`. Budget: 20 s of CPU, imports included, and
1.5 GB above what making the data took; exits with 1 when either is missed. The log is in many files.
"""

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.assets.monitoring.looking import Observer
from mlcicd_assets.ml.catalogue import ModelLane, load_all, read_reference
from mlcicd_assets.ml.data.features import compute_features
from mlcicd_assets.ml.evaluation.target import Target
from mlcicd_assets.ml.monitoring.performance import Watched
from mlcicd_assets.ml.monitoring.windows import Span
from mlcicd_assets.ml.user_code import load_function
from mlcicd_assets.serving import log_files
from resources.lake import DeltaLake
from resources.predictions import PredictionFolder

ROWS, FILES = 1_000_000, 200
CPU_S, MEMORY_MB = 20.0, 1_500.0
DAY = Span(datetime(2026, 4, 9, tzinfo=UTC), datetime(2026, 4, 10, tzinfo=UTC))


@dataclass
class Known:
    """A version whose package needs no fetching."""

    lane: ModelLane
    version: int
    holdout: pl.DataFrame

    @property
    def holdout_scores(self) -> pl.DataFrame:
        return self.holdout.select("score")

    @property
    def holdout_features(self) -> pl.DataFrame:
        return self.features(self.holdout["inputs"]).with_columns(self.holdout["at"].alias("_time"))

    @property
    def evaluated(self) -> dict[str, float]:
        return {"average_precision": 0.6}

    def features(self, inputs: pl.Series) -> pl.DataFrame:
        declared = self.lane.data.dataset.features or ""
        function = load_function(*read_reference(self.lane.data.folder, declared))
        return compute_features(function, inputs.struct.unnest(), probes=0)

    def watched(self, confidence: float) -> Watched:
        rule = self.lane.model.champion.model_copy(update={"confidence": confidence})
        return Watched(Target("binary", threshold=0.2), rule, "average_precision")


@dataclass
class Versions:
    known: Known

    def of(self, _version: int) -> Known:
        return self.known


def rows(count: int, seed: int, start: datetime) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.integers(0, 86_400_000_000, count)).astype("timedelta64[us]")
    time_ = pl.Series(np.datetime64(start.replace(tzinfo=None), "us") + at)
    inputs = pl.DataFrame(
        {
            "transaction_id": np.arange(count),
            "event_time": time_,
            "category": rng.choice(["grocery", "fuel", "travel", "gaming"], count),
            "online": rng.random(count) < 0.3,
            "amount": rng.lognormal(3, 1, count),
            "amount_over_mean": rng.lognormal(0, 1, count),
            "payments_1h": rng.poisson(0.2, count).astype(np.int16),
            "payments_24h": rng.poisson(2, count).astype(np.int16),
            "merchant_fraud_rate": rng.beta(1, 90, count),
            "distance_km": rng.exponential(8, count),
            "device_age_days": rng.exponential(200, count),
        }
    )
    fraud = rng.random(count) < 0.012
    score = np.where(fraud, rng.beta(3, 4, count), rng.beta(1, 40, count))
    return pl.DataFrame(
        {
            "request_id": [f"{seed:02d}-{n:031d}" for n in range(count)],
            "row": np.zeros(count, dtype=np.int32),
            "at": time_.dt.replace_time_zone("UTC"),
            "role": ["live"] * count,
            "latency_ms": rng.gamma(2, 0.4, count).astype(np.float32),
            "score": score,
            "label": np.where(score >= 0.2, "1", "0"),
            "version": np.ones(count, dtype=np.int32),
            "inputs": inputs.to_struct("inputs"),
            "fraud": fraud,
        }
    )


def prepare(home: Path) -> None:
    made = rows(ROWS, 1, DAY.start)
    folder = home / "serving" / "predictions" / "production" / "fraud_detector" / "1"
    for number, part in enumerate(made.drop("fraud").iter_slices(-(-ROWS // FILES))):
        log_files.write(folder, "p", number, number, part)
    labels = (
        made["inputs"]
        .struct.unnest()
        .select("transaction_id", "event_time")
        .with_columns(is_fraud=made["fraud"], label_time=pl.col("event_time") + timedelta(days=5))
    )
    DeltaLake(str(home / "lake")).write("payments/validated_data", labels, partition="2026-04-09")


def look(home: Path) -> dict[str, Any]:
    lane = load_all().models["fraud_detector"]
    known: Any = Versions(Known(lane, 1, rows(42_000, 2, DAY.start - timedelta(days=14))))
    observer = Observer(
        lane=lane,
        lake=DeltaLake(str(home / "lake")),
        scan=lambda: PredictionFolder(home / "serving").scan("fraud_detector"),
        versions=known,
        champion=1,
        as_of=DAY.end + timedelta(days=20),
        counts=lambda *_: [],
        since=DAY.start,
    )
    return {one.name: one.state for one in observer.look(DAY).signals}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mlcicd-bench-") as folder:
        prepare(Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began, busy = time.perf_counter(), time.process_time()
        found = look(Path(folder))
        wall, cpu = time.perf_counter() - began, time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{ROWS:,} rows in {FILES} files: {wall:.1f} s wall, {cpu:.1f} s CPU, peak {peak:,.0f} MB")
    print(f"(made and imported before: {before:,.0f} MB)  {found}")
    kept = cpu <= CPU_S and peak <= before + MEMORY_MB
    print(f"budget {CPU_S:g} s of CPU and {MEMORY_MB:,.0f} MB more: {'kept' if kept else 'MISSED'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
