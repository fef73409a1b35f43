"""Thresholds from history and drift, from declared lines to what Dagster shows."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from tests.fakes.projects import sales
from tests.pipeline.conftest import Pipeline, failures

HISTORY = [f"2026-{month:02d}" for month in range(1, 7)]
CHECKS = """  checks:
    row_count: within 4 sigma
    null_rate: within 4 sigma
    null_rate.refund: "<= 1"
    mean.amount: within 4 sigma
    schema: unchanged
    drift: ks <= 0.15 against last 4
    label_drift: psi <= 0.2 against last 4
  drift_page: never
  minimum_history: 3
"""
DATA = 'group:"sales" or group:"stores"'


@pytest.fixture
def watched(pipeline: Pipeline) -> Pipeline:
    pipeline.project.edit("sales/defs.yaml", "  references:", f"{CHECKS}  references:")
    return pipeline


def land(pipeline: Pipeline, month: str, frame: pl.DataFrame) -> None:
    frame.write_parquet(pipeline.project.home / "landing" / "sales" / f"{month}.parquet")


def run(pipeline: Pipeline, *months: str) -> dg.ExecuteInProcessResult:
    return pipeline.materialize(DATA, months=(months[0], months[-1]))


def test_a_first_partition_passes_and_says_that_it_is_a_cold_start(watched: Pipeline):
    watched.project.land(HISTORY)
    result = run(watched, HISTORY[0])
    assert result.success, failures(result)
    for name in ("row_count", "null_rate", "mean", "schema", "drift", "label_drift"):
        assert watched.checks[name].passed, name
    assert "cold start: 0 of 3 earlier partitions" in watched.checks["row_count"].description
    assert "cold start" in watched.checks["drift"].description


def test_usual_partitions_pass_in_one_run_and_one_by_one(watched: Pipeline):
    watched.project.land(HISTORY)
    assert run(watched, *HISTORY[:5]).success
    assert all(check.passed for check in watched.checks.values())
    assert run(watched, HISTORY[5]).success
    assert all(check.passed for check in watched.checks.values())
    assert "median 600" in watched.checks["row_count"].description


def test_what_is_unusual_warns_with_threshold_and_reason(watched: Pipeline):
    watched.project.land(HISTORY)
    assert run(watched, *HISTORY[:5]).success
    month = HISTORY[5]
    moved = sales(month, rows=250).with_columns(pl.col("amount") * 4, refund=pl.lit(None, pl.Float64))
    land(watched, month, moved.with_columns(coupon=pl.lit("none")))
    result = run(watched, month)
    assert result.success, failures(result)
    rows, mean, drift = (watched.checks[name] for name in ("row_count", "mean", "drift"))
    assert [rows.passed, mean.passed, drift.passed] == [False, False, False]
    assert rows.severity == dg.AssetCheckSeverity.WARN
    assert "250 is below" in rows.description
    assert "median 600" in rows.description
    assert "log_amount (ks" in drift.description
    assert "against 4 partitions, 2026-02 … 2026-05" in drift.description
    records = drift.metadata["features"].records
    assert records[0].data["feature"] == "log_amount"
    assert {"psi", "js", "wasserstein", "ks", "p", "outcome"} <= set(records[0].data)
    assert "data:image/png" in drift.metadata[f"picture of {month}"].value


def test_a_hard_check_blocks_what_is_downstream(watched: Pipeline):
    watched.project.edit(
        "sales/defs.yaml", "  drift_page: never", "  drift_page: never\n  hard_checks: [row_count]"
    )
    watched.project.land(HISTORY)
    assert run(watched, *HISTORY[:5]).success
    land(watched, HISTORY[5], sales(HISTORY[5], rows=100))
    result = run(watched, HISTORY[5])
    assert not result.success
    assert watched.checks["row_count"].severity == dg.AssetCheckSeverity.ERROR
    assert HISTORY[5] not in watched.resources["lake"].versions("sales/features")
    refused = {
        (record.asset, record.partition): record.failure
        for record in watched.resources["records"].all()
        if record.failure
    }
    assert [place[0] for place in refused] == ["sales/validated_data"]
    assert all(reason.startswith("row_count: ") for reason in refused.values())


def test_a_planned_exception_passes_and_is_recorded_and_is_no_history(watched: Pipeline):
    planned = "[{from: 2026-06-01, to: 2026-06-30, checks: [row_count], reason: festival}]"
    watched.project.edit(
        "sales/defs.yaml", "  drift_page: never", f"  drift_page: never\n  exceptions: {planned}"
    )
    watched.project.land([*HISTORY, "2026-07"])
    assert run(watched, *HISTORY[:5]).success
    land(watched, HISTORY[5], sales(HISTORY[5], rows=2000))
    assert run(watched, HISTORY[5]).success
    rows = watched.checks["row_count"]
    assert rows.passed
    assert "festival (2026-06-01 to 2026-06-30)" in rows.metadata["exceptions used"].value
    assert run(watched, "2026-07").success
    assert "2026-01 … 2026-05" in watched.checks["row_count"].description


def test_drift_links_a_page_that_opens_offline(watched: Pipeline):
    watched.project.edit("sales/defs.yaml", "  drift_page: never\n", "")
    watched.project.land(HISTORY)
    assert run(watched, *HISTORY[:5]).success
    land(watched, HISTORY[5], sales(HISTORY[5]).with_columns(pl.col("amount") * 4))
    assert run(watched, HISTORY[5]).success
    page = Path(watched.checks["drift"].metadata[f"page of {HISTORY[5]}"].value)
    text = page.read_text()
    assert "log_amount" in text
    assert not [line for line in text.splitlines() if '<script src="http' in line]


def test_the_same_data_again_writes_no_statistics(watched: Pipeline):
    watched.project.land(HISTORY)
    assert run(watched, *HISTORY[:2]).success
    before = watched.resources["lake"].table_version("sales/statistics")
    assert run(watched, *HISTORY[:2]).success
    assert watched.resources["lake"].table_version("sales/statistics") == before
