"""Production traffic as the model servers record it: real records, scored by the version's own package."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.prediction_logging import PredictionLog as Declared
from mlcicd_assets.release.run_files import PACKAGE
from mlcicd_assets.serving.prediction_log import Entry, PredictionLog, Role
from resources.protocols import Registry


def answer(
    registry: Registry,
    serving: Path,
    model: str,
    version: int,
    records: pl.DataFrame,
    *,
    keys: list[str],
    at: datetime,
    role: Role = "live",
    settings: dict[str, Any] | None = None,
) -> None:
    """Write a log as if each record had been one request, a millisecond after another from `at` on."""
    with tempfile.TemporaryDirectory() as scratch:
        scorer = Scorer.load(registry.fetch(model, version, Path(scratch)) / PACKAGE)
        inputs = [column.name for column in scorer.inputs]
        log = PredictionLog(
            serving / "predictions" / "production" / model / str(version),
            {**Declared(buffer=1_000_000).settings({}, keys), **(settings or {})},
            None,
            inputs,
            environment="production",
            model=model,
            version=version,
        )
        beside = [pl.col(key).cast(pl.String) for key in log.keys]
        known = records.select(*inputs, *beside)
        for place in range(records.height):
            row = known[place : place + 1]
            name = "-".join(str(value) for value in records[place : place + 1].select(keys).row(0))
            moment = (at + timedelta(milliseconds=place)).timestamp()
            log.record(Entry(name, None, role, moment, 0.002, row, scorer.predict(row)))
        log.flush()
