"""What the real server says binds the chain: before registration, and before production."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.assets import staging_tests
from mlcicd_assets.checks import staging
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import EVALUATION, TRAINING, Candidate
from mlcicd_assets.serving.acceptance import CHECKS, Finding
from resources.protocols import ModelVersion, TrialEnded
from tests.pipeline.conftest import Pipeline, failures

UP_TO_STAGING = 'not group:"returns" or +key:"returns/staging_deployment"'


def kept(pipeline: Pipeline, name: str, into: Path) -> bytes:
    trained = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    into.mkdir(exist_ok=True)
    return pipeline.resources["tracking"].fetch(trained.run_id, name, into).read_bytes()


def test_truths_and_cost_are_measured_kept_and_gated(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.project.edit(
        "returns/defs.yaml",
        'gates: {roc_auc: ">= 0.70"',
        'rates: {cpu_hour: 0.04, currency: EUR}\n  gates: {latency_p99_ms: "<= 5000", '
        'memory_mb: "<= 512", train_cost: "<= 2.50 EUR", roc_auc: ">= 0.70"',
    )
    pipeline.project.land()
    result = pipeline.materialize()
    assert result.success, failures(result)
    evaluation = Evaluation.model_validate_json(kept(pipeline, EVALUATION, tmp_path / "kept"))
    record = TrainingRecord.model_validate_json(kept(pipeline, TRAINING, tmp_path / "kept"))
    assert evaluation.serving is not None
    assert evaluation.serving.skew is not None
    assert evaluation.serving.skew.columns == []
    assert record.cost is not None
    assert record.cost.cpu_seconds > 0
    for gate in ("latency_p99_ms", "memory_mb", "train_cost", "training_serving_skew", *CHECKS):
        assert pipeline.checks[gate].passed, pipeline.checks[gate].description


def test_a_candidate_whose_server_ends_is_not_registered(pipeline: Pipeline) -> None:
    def trial(*_: Any, **__: Any) -> Any:
        raise TrialEnded(
            "the model server did not start: by SIGKILL, as the kernel does when memory runs out"
        )

    pipeline.resources["serving"].trial = trial
    pipeline.project.land()
    result = pipeline.materialize()
    assert not result.success
    assert not pipeline.checks["training_serving_skew"].passed
    assert "SIGKILL" in str(pipeline.checks["training_serving_skew"].description)
    assert pipeline.resources["registry"].versions("returns") == []
    result = pipeline.materialize('key:"returns/registered_model"', months=None)
    assert "training_serving_skew" in failures(result)


def test_a_challenger_that_fails_in_staging_stays_out_of_production_in_later_runs_too(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = staging.accept

    def one_fails(staged: Any) -> list[Finding]:
        findings = real(staged)
        return [replace(f, passed=False, said="one is late") if "load" in f.check else f for f in findings]

    monkeypatch.setattr(staging, "accept", one_fails)
    pipeline.project.land()
    assert not pipeline.materialize().success
    assert pipeline.champion() is None
    result = pipeline.materialize('key:"returns/deployment"', months=None)
    assert "failed in staging: staging_load: one is late" in failures(result)
    assert pipeline.champion() is None
    # When it passes, by the same digest, it may go on.
    monkeypatch.undo()
    assert pipeline.materialize('key:"returns/staging_deployment"+', months=None).success
    assert pipeline.champion() == "1"


def test_a_challenger_that_was_never_tested_stays_out(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Any) -> list[Finding]:
        raise RuntimeError("the process was killed")

    monkeypatch.setattr(staging, "accept", killed)
    pipeline.project.land()
    assert not pipeline.materialize().success
    monkeypatch.undo()
    result = pipeline.materialize('key:"returns/deployment"', months=None)
    assert "its staging tests have not run" in failures(result)


def test_tests_from_before_the_last_staging_do_not_count(pipeline: Pipeline) -> None:
    pipeline.project.land()
    assert pipeline.materialize(UP_TO_STAGING).success
    ledger = pipeline.resources["ledger"]
    tested = [e for e in ledger.entries("returns") if e.action == "staging_tested"]
    assert [entry.details for entry in tested] == [dict.fromkeys(CHECKS, True)]
    ledger.append("staged", "returns", actor="run x", version=1, digest=tested[0].digest)
    result = pipeline.materialize('key:"returns/deployment"', months=None)
    assert "its staging tests have not run" in failures(result)


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({}, "was never asked staging_health"),
        ({**dict.fromkeys(CHECKS, True), "staging_skew": False}, "failed in staging: because"),
        ({**dict.fromkeys(CHECKS, True), "staging_skew": "yes"}, "failed in staging: because"),
    ],
)
def test_a_result_that_is_not_whole_is_none(
    pipeline: Pipeline, details: dict[str, object], words: str
) -> None:
    ledger = pipeline.resources["ledger"]
    found = ModelVersion("returns", 1, "ab" * 32, "run")
    ledger.append(
        "staging_tested",
        "returns",
        actor="x",
        version=1,
        digest=found.digest,
        reason="because",
        details=details,
    )
    with pytest.raises(dg.Failure, match=words):
        staging_tests.require_staging(ledger, found)
    with pytest.raises(dg.Failure, match="was never in staging"):
        staging_tests.require_staging(ledger, replace(found, digest="cd" * 32))
