"""From what happened in a real Dagster instance to what a person is told."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mlcicd_assets.automation.alerts.watch import Watch
from resources.protocols import Alert, KeptRequest
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.ledger import MemoryLedger
from tests.fakes.memory import MemoryRecords


@dataclass
class Asked:
    """`Requests` with only a history."""

    kept: list[KeptRequest] = field(default_factory=list)

    def history(self, limit: int = 100) -> list[KeptRequest]:
        return self.kept[:limit]


@dataclass
class World:
    """A model's gate that fails or not, a step that fails or not."""

    instance: dg.DagsterInstance
    alerts: MemoryAlerts = field(default_factory=MemoryAlerts)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    records: MemoryRecords = field(default_factory=MemoryRecords)
    requests: Asked = field(default_factory=Asked)

    def run(self, *, passes: bool = True, trains: bool = True, blocking: bool = True) -> None:
        """As the command line does: no daemon is told."""

        @dg.asset(key=["returns", "trained_model"])
        def _trained() -> None:
            if not trains:
                raise ValueError("the column amount is missing")

        @dg.asset_check(asset=_trained, name="roc_auc", blocking=blocking)
        def _gate() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passes, description="0.61 is not >= 0.7")

        dg.materialize([_trained, _gate], instance=self.instance, raise_on_error=False)

    def look(self, after: timedelta = timedelta(0)) -> list[str]:
        """One look and one sending; the heads of what was told so far."""
        self.alerts.now = datetime.now(UTC) + after
        owners = {"returns": "team:risk"}
        Watch(self.instance, self.alerts, self.ledger, self.requests, self.records, owners, {"alerts"}).look(
            self.alerts.now, inside=True
        )
        self.alerts.tell()
        return [message.head for message in self.alerts.sent]


@pytest.fixture
def world() -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = World(instance)
        made.look()  # what was before is not of this test
        yield made


def test_a_failed_gate_is_told_once_with_evidence_owner_and_command(world: World) -> None:
    for _ in range(3):
        world.run(passes=False)

    heads = world.look()

    assert heads == ["CRITICAL: returns/trained_model failed a blocking check: roc_auc"]
    (standing,) = world.alerts.standing()
    assert standing.count == 3
    assert standing.alert.owner == "team:risk"
    assert standing.alert.subject == "model:returns"
    assert "0.61 is not >= 0.7" in str(standing.alert.evidence["roc_auc"])
    assert "run: mlcicd status returns" in world.alerts.sent[0].lines()
    assert world.look() == heads  # nothing is read twice


def test_a_gate_that_passes_again_is_said_once(world: World) -> None:
    world.run(passes=False)
    world.look()

    world.run()
    world.run()

    assert world.look() == [
        "CRITICAL: returns/trained_model failed a blocking check: roc_auc",
        "resolved: returns/trained_model failed a blocking check: roc_auc",
    ]
    assert world.alerts.standing() == []


def test_an_asset_that_fails_with_its_own_check_is_one_cause(world: World) -> None:
    @dg.asset(
        key=["returns", "trained_model"],
        check_specs=[dg.AssetCheckSpec("contract", asset=["returns", "trained_model"], blocking=True)],
    )
    def _refuses() -> Iterator[dg.AssetCheckResult]:
        yield dg.AssetCheckResult(passed=False, check_name="contract", description="3 rows")
        raise dg.Failure("3 rows")

    dg.materialize([_refuses], instance=world.instance, raise_on_error=False)

    assert world.look() == ["CRITICAL: returns/trained_model failed a blocking check: contract"]


def test_a_check_that_does_not_block_is_a_warning(world: World) -> None:
    world.run(passes=False, blocking=False)

    assert world.look() == ["WARNING: returns/trained_model failed a check: roc_auc"]


def test_a_run_that_fails_is_told_with_its_reason_until_it_succeeds(world: World) -> None:
    world.run(trains=False)
    assert world.look() == ["WARNING: returns/trained_model failed: the column amount is missing"]

    world.run()

    assert world.look()[1:] == ["resolved: returns/trained_model failed: the column amount is missing"]


def test_at_the_first_look_only_what_stands_is_told(world: World) -> None:
    world.alerts.cursors.clear()
    world.run(passes=False)
    world.run()
    world.run(trains=False)

    assert world.look() == ["WARNING: returns/trained_model failed: the column amount is missing"]


def test_what_another_version_kept_of_the_watch_stops_nothing(world: World) -> None:
    world.alerts.cursors["watch"] = '{"until": "long ago"}'
    world.run(passes=False)

    assert len(world.look()) == 1


def test_another_watch_goes_on_where_this_one_ended(world: World) -> None:
    world.run(passes=False)
    world.look()
    again = World(world.instance, world.alerts, world.ledger, world.records)

    assert len(again.look()) == 1
    assert json.loads(world.alerts.cursors["watch"])["failing"]["checks"]


def test_a_rollback_stands_until_something_is_promoted(world: World) -> None:
    world.ledger.append("promoted", "returns", actor="run 1", version=3, digest="a" * 64)
    world.ledger.append("rolled_back", "returns", actor="run 2", version=3, digest="a" * 64, reason="errors")
    assert world.look() == ["CRITICAL: returns: version 3 was rolled back: errors"]

    world.ledger.append("promoted", "returns", actor="run 3", version=4, digest="b" * 64)

    assert world.look()[1:] == ["resolved: returns: version 3 was rolled back: errors"]


def test_alerts_of_others_are_left_alone(world: World) -> None:
    world.alerts.raise_alert(
        Alert("drift/returns", "amount", "warning", "drift", "model:returns", "team:risk")
    )
    world.look()

    assert [one.alert.cause for one in world.alerts.standing()] == ["drift/returns"]
