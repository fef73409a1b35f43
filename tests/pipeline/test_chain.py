"""From a landed file to a champion that answers, and everything that must not get there."""

import json

import pytest

from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.release.run_files import Candidate
from tests.fakes.projects import MONTHS
from tests.pipeline.conftest import Pipeline, failures


def test_the_whole_chain_makes_a_champion(pipeline: Pipeline):
    pipeline.project.land()
    result = pipeline.materialize()
    assert result.success, failures(result)
    assert pipeline.champion() == "1"
    version = pipeline.resources["registry"].get("returns", "champion")
    assert version.version == 1
    assert dict(pipeline.resources["serving"].routes("production", "returns")) == {1: 100}
    assert {"roc_auc", "brier", "beats_champion", "onnx_parity", "contract", "serves_champion"} <= set(
        pipeline.checks
    )
    lines = pipeline.resources["ledger"].entries("returns")
    actions = [line.action for line in lines if not line.action.startswith(("alias_", "rollout_"))]
    assert actions == ["trained", "verdict", "registered", "staged", "staging_tested", "promoted"]
    assert pipeline.resources["ledger"].verify() == len(pipeline.resources["ledger"].entries())


def test_the_same_data_and_code_make_the_same_model_and_no_new_version(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    again = pipeline.materialize()
    assert again.success, failures(again)
    assert len(pipeline.resources["registry"].versions("returns")) == 1
    assert pipeline.champion() == "1"


def test_a_better_model_takes_over_and_the_old_one_becomes_previous(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    pipeline.project.edit("returns/model.py", "C=1.0", "C=0.5")
    result = pipeline.materialize('group:"returns"', months=None)
    assert result.success, failures(result)
    registry = pipeline.resources["registry"]
    assert pipeline.champion() == "2"
    assert registry.get("returns", "champion").version == 2
    assert registry.get("returns", "previous").version == 1
    assert registry.get("returns", "challenger") is None
    servers = pipeline.resources["serving"].status().servers
    assert [server.version for server in servers if server.environment == "production"] == [2]


def test_a_failed_gate_names_metric_value_and_threshold_and_leaves_the_champion(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.99"')
    pipeline.project.edit("returns/model.py", "C=1.0", "C=0.5")
    result = pipeline.materialize('group:"returns"', months=None)
    assert not result.success
    gate = pipeline.checks["roc_auc"]
    assert not gate.passed
    assert "roc_auc is 0." in gate.description
    assert ">= 0.99" in gate.description
    assert pipeline.champion() == "1"
    assert len(pipeline.resources["registry"].versions("returns")) == 1


@pytest.mark.parametrize("stage", ["registered_model", "staging_deployment", "deployment"])
def test_after_a_failed_gate_no_later_stage_can_be_materialized_alone(pipeline: Pipeline, stage: str):
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.99"')
    assert not pipeline.materialize().success
    result = pipeline.materialize(f'key:"returns/{stage}"', months=None)
    assert not result.success
    assert "gate 'roc_auc' failed" in failures(result)
    assert pipeline.champion() is None
    assert pipeline.resources["registry"].versions("returns") == []


def test_a_gate_that_was_tightened_after_the_verdict_is_not_passed_by_the_old_verdict(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize(
        'not key:"returns/deployment" and not key:"returns/monitoring_report"'
    ).success
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.71"')
    result = pipeline.materialize('key:"returns/deployment"', months=None)
    assert not result.success
    assert "was judged by >= 0.70, but >= 0.71 is declared" in failures(result)
    assert pipeline.champion() is None


def test_high_risk_waits_for_a_person(pipeline: Pipeline):
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", "rollout:", "risk: high\n  rollout:")
    result = pipeline.materialize()
    assert result.success, failures(result)
    asked = pipeline.resources["ledger"].entries("returns")[-1]
    assert asked.action == "approval_requested"
    assert "mlcicd approve returns 1" in asked.reason
    assert pipeline.champion() is None


def test_a_challenger_worse_than_the_champion_stays_out(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    pipeline.project.edit(
        "returns/model.py",
        "LogisticRegression(C=1.0)",
        "LogisticRegression(C=1e-9, solver='saga', max_iter=1)",
    )
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.10"')
    result = pipeline.materialize('group:"returns"', months=None)
    assert not result.success
    assert not pipeline.checks["beats_champion"].passed
    assert "champion version 1 has" in pipeline.checks["beats_champion"].description
    assert pipeline.champion() == "1"


def test_a_server_that_refuses_leaves_the_champion(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    pipeline.project.edit("returns/model.py", "C=1.0", "C=0.5")
    pipeline.materialize('key:"returns/trained_model"', months=None)
    candidate = pipeline.resources["ledger"].pointer("candidate/returns")
    digest = json.loads(candidate)["digest"]
    pipeline.resources["serving"].refusals[digest] = "out of memory"
    result = pipeline.materialize('group:"returns"', months=None)
    assert not result.success
    assert "out of memory" in failures(result)
    assert pipeline.champion() == "1"
    assert dict(pipeline.resources["serving"].routes("production", "returns")) == {1: 100}


def test_a_model_names_the_partitions_and_versions_it_learned_from(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    record = next(r for r in pipeline.resources["records"].all() if r.asset == "returns/trained_model")
    used = [name for name in record.inputs if name.startswith("sales/features@")]
    assert used == [f"sales/features@{month}" for month in MONTHS]


def test_as_of_trains_an_earlier_state_again(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    config = {"ops": {"returns__trained_model": {"config": {"as_of": "2026-04-01T00:00:00"}}}}
    pipeline.project.edit("returns/defs.yaml", "train: 80d", "train: 50d")
    result = pipeline.materialize('key:"returns/trained_model"', months=None, config=config)
    assert result.success, failures(result)
    record = next(r for r in pipeline.resources["records"].all() if r.asset == "returns/trained_model")
    used = [name for name in record.inputs if name.startswith("sales/features@")]
    assert max(used) == "sales/features@2026-03"


def test_a_package_that_passed_once_and_fails_now_is_not_deployed(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize(
        'not key:"returns/deployment" and not key:"returns/monitoring_report"'
    ).success
    pipeline.project.edit("returns/defs.yaml", 'brier: "<= 0.25"', 'brier: "<= 0.01"')
    again = pipeline.materialize(
        'key:"returns/trained_model" or key:"returns/evaluation_report"', months=None
    )
    assert not again.success
    pipeline.project.edit("returns/defs.yaml", 'brier: "<= 0.01"', 'brier: "<= 0.25"')
    result = pipeline.materialize('key:"returns/deployment"', months=None)
    assert not result.success
    assert "gate 'brier' failed" in failures(result)


def test_a_request_may_leave_out_only_what_the_contract_lets_be_null(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize('not group:"returns" or key:"returns/trained_model"').success
    digest = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    package = read_package(pipeline.resources["tracking"].root / digest.run_id / "package")
    assert {column.name: column.nullable for column in package.signature.inputs} == {
        "amount": False,
        "online": False,
        "sold_at": False,
        "store_id": False,
    }


def test_what_the_scaffold_writes_trains_and_is_judged(pipeline: Pipeline):
    from mlcicd_assets.components.scaffolding import render

    pipeline.project.land()
    pipeline.project.edit("sales/features.py", '"online",', '"online", "store_id",')  # a text column as well
    (pipeline.project.defs / "returns" / "model.py").write_text(render("model.py.j2", name="returns"))
    result = pipeline.materialize('group:"sales" or group:"stores" or key:"returns/trained_model"')
    assert result.success, failures(result)
    result = pipeline.materialize('key:"returns/evaluation_report"', months=None)
    assert pipeline.checks["onnx_parity"].passed, failures(result)
