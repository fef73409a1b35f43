"""Past days go into the lake and out of the files; a reader sees each row once, whatever is killed when."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.serving import log_files
from resources.compaction import compact, compact_past
from resources.lake import DeltaLake
from resources.predictions import PredictionFolder, RecordedPredictions

DAY = datetime(2026, 4, 9, 23, 59, 58, tzinfo=UTC)
NOW = datetime(2026, 4, 10, 12, tzinfo=UTC)
FOREVER = timedelta(days=10_000)


def rows(first: int, count: int, at: datetime = DAY, version: int = 1, **inputs: object) -> pl.DataFrame:
    """One row each second from `at` on; request r<first> and so on."""
    frame = pl.DataFrame(
        {
            "request_id": [f"r{first + number}" for number in range(count)],
            "client_id": pl.Series([None] * count, dtype=pl.String),
            "row": pl.Series([0] * count, dtype=pl.Int32),
            "at": [at + timedelta(seconds=number) for number in range(count)],
            "role": ["live"] * count,
            "latency_ms": pl.Series([1.5] * count, dtype=pl.Float32),
            "score": [0.25] * count,
            "label": ["0"] * count,
            "environment": ["production"] * count,
            "model": ["m"] * count,
            "version": pl.Series([version] * count, dtype=pl.Int32),
        }
    ).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))
    known = {"amount": 2.5, "email": "hash", **inputs}
    columns = [pl.lit(value).alias(name) for name, value in known.items()]
    return frame.with_columns(pl.struct(columns).alias("inputs"))


@pytest.fixture
def log(tmp_path: Path) -> PredictionFolder:
    """Two files; the second one reaches into the next day."""
    folder = tmp_path / "serving" / "predictions" / "production" / "m" / "1"
    log_files.write(folder, "p", 1, 1, rows(0, 1))
    log_files.write(folder, "p", 2, 2, rows(1, 4))
    return PredictionFolder(tmp_path / "serving")


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


def read(log: PredictionFolder, lake: DeltaLake) -> pl.DataFrame:
    return RecordedPredictions(log, lake).scan("m").collect().sort("at")


def test_a_day_that_is_over_goes_and_readers_see_the_same(log: PredictionFolder, lake: DeltaLake) -> None:
    before = read(log, lake)
    done = compact_past(log, lake, "m", NOW, keep=FOREVER)

    after = read(log, lake)
    assert [(one.day, one.rows, one.files) for one in done] == [(date(2026, 4, 9), 3, 2)]
    assert log.scan("m").select(pl.len()).collect().item() == 2  # those of today
    assert after.select(before.columns).equals(before)
    assert after.schema == before.schema


def test_killed_after_the_lake_has_it_no_row_counts_twice(log: PredictionFolder, lake: DeltaLake) -> None:
    before = read(log, lake)
    compact(log, lake, "m", DAY.date())  # and then the process is gone

    assert read(log, lake).select(before.columns).equals(before)
    compact_past(log, lake, "m", NOW, keep=FOREVER)
    assert read(log, lake).select(before.columns).equals(before)
    assert log.scan("m").select(pl.len()).collect().item() == 2


def test_rows_that_come_late_join_what_the_lake_has(log: PredictionFolder, lake: DeltaLake) -> None:
    compact_past(log, lake, "m", NOW, keep=FOREVER)
    late = rows(100, 2, at=DAY - timedelta(hours=1))
    log_files.write(log.files("m")[0].parent, "q", 1, 1, late)

    compact_past(log, lake, "m", NOW, keep=FOREVER)

    assert lake.scan("m/predictions", partitions=["2026-04-09"]).select(pl.len()).collect().item() == 5
    assert read(log, lake).height == 7


def test_versions_may_record_other_columns(log: PredictionFolder, lake: DeltaLake) -> None:
    folder = log.files("m")[0].parent.parent / "2"
    log_files.write(folder, "p", 1, 1, rows(50, 2, at=DAY - timedelta(hours=2), version=2, shop="s1"))

    compact_past(log, lake, "m", NOW, keep=FOREVER)

    shops = read(log, lake).select("version", pl.col("inputs").struct.field("shop"))
    assert shops.filter(pl.col("version") == 2)["shop"].to_list() == ["s1", "s1"]
    assert RecordedPredictions(log, lake).scan("m", versions=[2]).select(pl.len()).collect().item() == 2


def test_a_day_that_is_not_over_stays(log: PredictionFolder, lake: DeltaLake) -> None:
    assert compact_past(log, lake, "m", DAY + timedelta(minutes=10), keep=FOREVER) == []
    assert lake.versions("m/predictions") == {}


def test_what_is_older_than_declared_is_deleted_from_the_lake_too(
    log: PredictionFolder, lake: DeltaLake, tmp_path: Path
) -> None:
    compact_past(log, lake, "m", NOW, keep=FOREVER)
    compact_past(log, lake, "m", NOW + timedelta(days=40), keep=timedelta(days=30))

    assert read(log, lake).height == 0
    files = [path for path in (tmp_path / "lake").rglob("*.parquet") if "2026-04-09" in str(path)]
    left = [name for path in files for name in pl.read_parquet(path)["request_id"].drop_nulls()]
    assert left == []


def test_only_what_is_asked_for_is_read(log: PredictionFolder, lake: DeltaLake) -> None:
    compact_past(log, lake, "m", NOW, keep=FOREVER)
    both = RecordedPredictions(log, lake)
    midnight = datetime(2026, 4, 10, tzinfo=UTC)

    assert both.scan("m", end=midnight).collect().height == 3
    assert both.scan("m", start=midnight).collect().height == 2
    assert both.scan("m", environment="staging").collect().height == 0
