"""A release that waits for a person, goes on by itself, is overridden, or is moved by a foreign hand."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.assets.decisions import Desk, Signed, decide, override
from mlcicd_assets.assets.lifecycle import mirror, moved
from mlcicd_assets.automation.approvals import approvals_sensor, decision_job
from mlcicd_assets.ml.catalogue import load_all
from mlcicd_assets.release.envelope import Refused
from tests.pipeline.conftest import Pipeline, failures

GROUP = 'key:"returns/deployment"'


def desk(pipeline: Pipeline) -> Desk:
    lane = load_all(pipeline.project.defs).models["returns"]
    names = ("registry", "tracking", "ledger", "keys")
    return Desk(lane, **{name: pipeline.resources[name] for name in names}, now=datetime.now(UTC))


def approve(pipeline: Pipeline, decision: Any = "approve", **changes: Any) -> Signed:
    about = {"by": "ada@example.org", "reason": "looked at it", **changes}
    return decide(desk(pipeline), 1, decision, **about)


def actions(pipeline: Pipeline) -> list[str]:
    return [line.action for line in pipeline.resources["ledger"].entries("returns")]


def requests(pipeline: Pipeline) -> list[dg.RunRequest]:
    """What the sensor asks for in one tick."""
    sensor = approvals_sensor(lambda: load_all(pipeline.project.defs))
    with dg.build_sensor_context(
        pipeline.instance, resources={"ledger": pipeline.resources["ledger"]}
    ) as context:
        found = sensor(context)
    return list(found.run_requests or []) if isinstance(found, dg.SensorResult) else []


@pytest.fixture
def waiting(pipeline: Pipeline) -> Pipeline:
    """High risk, trained, staged, and waiting for a person."""
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", "rollout:", "risk: high\n  rollout:")
    result = pipeline.materialize()
    assert result.success, failures(result)
    return pipeline


def test_a_release_waits_without_failing_and_goes_on_once_somebody_approved(waiting: Pipeline) -> None:
    assert waiting.champion() is None
    assert actions(waiting).count("approval_requested") == 1
    assert waiting.materialize(GROUP, months=None).success
    assert actions(waiting).count("approval_requested") == 1  # asked for once
    assert requests(waiting) == []

    signed = approve(waiting)
    (asked,) = requests(waiting)

    assert [key.to_user_string() for key in asked.asset_selection or []] == [
        "returns/deployment",
        "returns/monitoring_report",
    ]
    assert requests(waiting)[0].run_key == asked.run_key  # the same request, which Dagster makes once
    assert signed.signer is None
    result = waiting.materialize(GROUP, months=None)
    assert result.success, failures(result)
    assert waiting.champion() == "1"
    assert requests(waiting) == []


def test_a_rejection_ends_the_release_with_its_reason(waiting: Pipeline) -> None:
    approve(waiting, "reject", reason="worse for the young")

    result = waiting.materialize(GROUP, months=None)

    assert not result.success
    assert "ada@example.org rejected it: worse for the young" in failures(result)
    assert requests(waiting) == []
    assert waiting.champion() is None


def test_an_older_approval_that_is_put_back_is_refused(waiting: Pipeline) -> None:
    approved = approve(waiting).envelope
    approve(waiting, "reject")
    file = next(iter((waiting.resources["tracking"].root).glob("*/approval.json")))
    file.write_bytes(approved)

    result = waiting.materialize(GROUP, months=None)

    assert not result.success
    assert "the approval is not the one that the ledger has last" in failures(result)
    assert waiting.champion() is None


def test_an_approval_that_only_lies_in_the_store_is_refused(waiting: Pipeline, tmp_path: Path) -> None:
    from mlcicd_assets.release.approval import Approval, seal_approval

    found = waiting.resources["registry"].get("returns", 1)
    forged = Approval(
        model="returns",
        version=1,
        digest=found.digest,
        decision="approve",
        by="nobody",
        reason="signed past the command",
        at="2026-01-01T00:00:00+00:00",
        expires="2126-01-01T00:00:00+00:00",
    )
    file = tmp_path / "approval.json"
    file.write_bytes(seal_approval(forged, waiting.resources["keys"].private_key()))
    waiting.resources["tracking"].store(found.run_id, file, "")

    result = waiting.materialize(GROUP, months=None)

    assert not result.success
    assert "the approval is not in the ledger" in failures(result)


def test_the_same_decision_is_made_in_the_ui(waiting: Pipeline) -> None:
    job = decision_job(lambda: load_all(waiting.project.defs))
    config = {"model": "returns", "version": 1, "decision": "approve", "by": "ada", "reason": "fine"}
    kept = {name: waiting.resources[name] for name in ("registry", "tracking", "ledger", "keys")}

    result = job.execute_in_process(
        run_config={"ops": {"decide": {"config": config}}}, resources=kept, instance=waiting.instance
    )

    assert result.success
    assert len(requests(waiting)) == 1


def test_in_the_ui_nobody_signs_with_a_persons_own_key(waiting: Pipeline) -> None:
    waiting.project.edit("returns/defs.yaml", "risk: high", "risk: high\n  approval: {approvers: [ada]}")
    waiting.resources["keys"].approver_folder.new("ada")
    job = decision_job(lambda: load_all(waiting.project.defs))
    config = {"model": "returns", "version": 1, "decision": "approve", "by": "ada", "reason": "fine"}
    kept = {name: waiting.resources[name] for name in ("registry", "tracking", "ledger", "keys")}

    result = job.execute_in_process(
        run_config={"ops": {"decide": {"config": config}}},
        resources=kept,
        instance=waiting.instance,
        raise_on_error=False,
    )

    assert not result.success
    assert "proves no person" in failures(result)
    assert approve(waiting, by="Ada").signed_by == "the key of ada"


def test_an_override_lets_exactly_what_it_names_pass_and_stays_visible(pipeline: Pipeline) -> None:
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.99"')
    assert not pipeline.materialize().success
    about: dict[str, Any] = {"approval": False, "by": "ada", "reason": "the shop is down"}
    override(desk(pipeline), None, ["brier"], **about)
    assert not pipeline.materialize('key:"returns/registered_model"', months=None).success

    override(desk(pipeline), None, ["roc_auc"], **about)
    (asked,) = requests(pipeline)
    assert asked.asset_selection
    assert asked.asset_selection[0].path[-1] == "registered_model"
    after = " or ".join(
        f'key:"returns/{stage}"' for stage in ("registered_model", "staging_deployment", "deployment")
    )
    result = pipeline.materialize(after, months=None)

    assert result.success, failures(result)
    assert pipeline.champion() == "1"
    warned = pipeline.checks["released_without_override"]
    assert not warned.passed
    assert warned.severity == dg.AssetCheckSeverity.WARN
    assert "OVERRIDE of ada: the shop is down" in (warned.description or "")
    registered = [
        line for line in pipeline.resources["ledger"].entries("returns") if line.action == "registered"
    ]
    assert registered[0].reason.startswith("OVERRIDE of gate roc_auc by ada")


def test_an_override_cannot_be_made_for_changed_bytes(pipeline: Pipeline) -> None:
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.99"')
    assert not pipeline.materialize().success
    (file,) = pipeline.resources["tracking"].root.glob("*/package/features.py")
    file.write_text(file.read_text() + "\n")

    with pytest.raises(Refused, match="features"):
        override(desk(pipeline), None, ["roc_auc"], approval=True, by="ada", reason="please")
    assert "overridden" not in actions(pipeline)


def test_a_version_whose_alias_was_moved_by_hand_gets_no_traffic(waiting: Pipeline) -> None:
    registry, ledger = waiting.resources["registry"], waiting.resources["ledger"]
    approve(waiting)
    registry.set_alias("returns", "champion", 1)

    result = waiting.materialize(GROUP, months=None)

    assert not result.success
    assert "the alias 'champion' was moved by hand" in failures(result)
    assert waiting.champion() is None
    assert actions(waiting)[-1] == "alias_by_hand"
    mirror(ledger, registry, "returns", "mlcicd repair")
    assert moved(ledger, registry, "returns") == []
    again = waiting.materialize(GROUP, months=None)
    assert again.success, failures(again)
    assert waiting.champion() == "1"
