"""Labels that come late: a comparison with the champion is stale, refused, and made again for both."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.release.run_files import EVALUATION, Candidate
from mlcicd_assets.release.verdict import open_envelope
from tests.fakes.projects import MONTHS, sales
from tests.pipeline.conftest import Pipeline, failures
from tests.pipeline.test_stale import stale

DATA = 'group:"sales" or group:"stores"'
JUDGED = 'key:"returns/trained_model" or key:"returns/evaluation_report"'


@pytest.fixture
def challenged(pipeline: Pipeline) -> Pipeline:
    """A champion, and a challenger that was compared with it before April's labels came."""
    pipeline.project.land()
    first_labels_of(pipeline, MONTHS[3])
    first = pipeline.materialize()
    assert first.success, failures(first)
    assert pipeline.champion() == "1"
    pipeline.project.edit("returns/model.py", "C=1.0", "C=0.5")
    judged = pipeline.materialize(JUDGED, months=None)
    assert judged.success, failures(judged)
    assert pipeline.checks["champion_fresh"].passed
    assert not [
        name for name in stale(pipeline) if name in {"returns/trained_model", "returns/evaluation_report"}
    ]
    return pipeline


def first_labels_of(pipeline: Pipeline, month: str) -> None:
    """The month's sales, of which only the first day's came back already."""
    known = pl.col("sold_at").dt.day() == 1
    records = sales(month).with_columns(
        pl.when(known).then(pl.col(name)).alias(name) for name in ("returned", "refund")
    )
    records.write_parquet(pipeline.project.home / "landing" / "sales" / f"{month}.parquet")


def labels_arrive(pipeline: Pipeline) -> None:
    pipeline.project.land([MONTHS[3]])
    landed = pipeline.materialize(DATA, months=(MONTHS[3], MONTHS[3]))
    assert landed.success, failures(landed)


def evaluation(pipeline: Pipeline) -> tuple[Evaluation, dict]:
    """What was kept of the candidate, and the holdout of its signed verdict."""
    run = (
        Path(pipeline.resources["tracking"].root)
        / Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns")).run_id
    )
    verdict = open_envelope((run / "verdict.json").read_bytes(), pipeline.resources["keys"].trusted_keys())
    found = Evaluation.model_validate_json((run / EVALUATION).read_bytes())
    return found, json.loads(verdict.holdout.model_dump_json())


def test_new_labels_make_the_comparison_stale_until_it_is_made_again(challenged: Pipeline):
    before, signed = evaluation(challenged)
    assert before.holdout.end == datetime(2026, 4, 2)
    assert [used["partition"] for used in signed["data"]] == [MONTHS[2], MONTHS[3]]

    labels_arrive(challenged)

    assert "sales/features@2026-04" in stale(challenged)["returns/evaluation_report"]
    refused = challenged.materialize('key:"returns/registered_model"', months=None)
    assert not refused.success
    assert (
        "champion version 1 was scored on labels until 2026-04-02, but they are known until 2026-04-29 now"
        in failures(refused)
    )
    assert "materialize returns/evaluation_report again" in failures(refused)
    assert challenged.champion() == "1"

    # Only the evaluation again: both on April, of which neither has learned.
    again = challenged.materialize('key:"returns/evaluation_report"', months=None)
    assert again.success, failures(again)
    assert challenged.checks["champion_fresh"].passed
    after, signed = evaluation(challenged)
    assert after.holdout.end == datetime(2026, 4, 29)
    assert after.training.holdout == before.training.holdout
    assert after.holdout.start >= after.training.train[1]
    assert after.rows == after.holdout.rows != after.training.holdout_rows
    assert after.parity.rows == after.training.holdout_rows
    assert after.champion.metrics["roc_auc"] != before.champion.metrics["roc_auc"]
    assert signed["data"][-1]["partition"] == MONTHS[3]
    assert "returns/evaluation_report" not in {
        name for name, reason in stale(challenged).items() if "data changed" in reason
    }
    released = challenged.materialize(
        'key:"returns/registered_model" or key:"returns/staging_deployment" or key:"returns/deployment"',
        months=None,
    )
    assert released.success, failures(released)
    assert challenged.champion() == "2"


def test_labels_that_come_after_registration_stop_the_deployment(challenged: Pipeline):
    registered = challenged.materialize(
        'key:"returns/registered_model" or key:"returns/staging_deployment"', months=None
    )
    assert registered.success, failures(registered)

    labels_arrive(challenged)
    refused = challenged.materialize('key:"returns/deployment"', months=None)

    assert not refused.success
    assert "champion version 1 was scored on labels until" in failures(refused)
    assert challenged.champion() == "1"


def test_a_tolerance_is_for_newer_labels_and_not_for_corrected_data(challenged: Pipeline):
    challenged.project.edit(
        "returns/defs.yaml", "non_inferiority: 0.01}", "non_inferiority: 0.01, stale_after: 8w}"
    )
    labels_arrive(challenged)

    refused = challenged.materialize('key:"returns/registered_model"', months=None)

    assert "but sales/features@2026-04 has changed since" in failures(refused)


def test_the_same_verdict_decides_in_check_report_and_registration(challenged: Pipeline):
    found, _ = evaluation(challenged)

    said = challenged.checks["beats_champion"]

    one = found.significance.of("roc_auc")
    assert said.metadata["value"].value == one.gain_low
    assert one.verdict in {"better", "non_inferior"}
    assert one.low <= found.metrics["roc_auc"] <= one.high
