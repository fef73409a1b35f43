"""The sensors against a Dagster instance: tags, keys, what is asked for again, and how failures are told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from mlcicd_assets.automation.blueprint import MODEL_STAGES
from mlcicd_assets.automation.requests.rollbacks import rollbacks_sensor
from mlcicd_assets.automation.requests.sensor import requests_sensor
from mlcicd_assets.automation.rollouts import rollback_job
from mlcicd_assets.automation.stale_sensor import stale_sensor
from mlcicd_assets.ml.training.cost import TrainingCost
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.ledger import MemoryLedger
from tests.fakes.request_worlds import EVERY, World, day

KEEN = [dg.AssetKey(["keen", stage]) for stage in MODEL_STAGES]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def world() -> World:
    made = World()
    made.fresh()
    made.edit("keen/trained_model", "2")
    return made


def tick(world: World, instance: dg.DagsterInstance, **others: Any) -> Any:
    sensor = requests_sensor(lambda _instance: world.blueprint, lambda: world.now)
    return sensor(dg.build_sensor_context(instance, resources=world.resources(**others)))


def made_of(instance: dg.DagsterInstance, request: dg.RunRequest, status: dg.DagsterRunStatus) -> str:
    """The run that the daemon makes of a request."""
    tags = {**request.tags, "dagster/run_key": request.run_key}
    selection = frozenset(request.asset_selection or ())
    run = create_run_for_test(instance, "__ASSET_JOB", tags=tags, status=status, asset_selection=selection)
    return run.run_id


def test_a_tick_without_requests_looks_at_nothing(world: World, instance: dg.DagsterInstance):
    found = tick(world, instance, records=None, ledger=None)

    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "nothing is asked for"


def test_a_run_says_what_it_answers(world: World, instance: dg.DagsterInstance):
    world.ask(cause="drift", by="monitoring_report", name="a" * 80)
    world.ask(cause="data")

    (request,) = tick(world, instance).run_requests

    assert request.asset_selection == KEEN
    assert request.run_key == world.kept()[0].key
    assert request.tags == {
        "mlcicd/plan": "requests",
        "mlcicd/request": "1",
        "mlcicd/cause": "drift",
        "dagster/priority": "30",
        "mlcicd/reason": f"because of {'a' * 48}…",
        "mlcicd/by": "monitoring_report",
        "mlcicd/merged": "1",
    }


def test_a_run_of_data_is_of_its_partitions(world: World, instance: dg.DagsterInstance):
    world.land(day(3), "f1")
    world.land(day(4), "f1")
    world.ask("dataset:events", "data")

    (request,) = tick(world, instance).run_requests

    assert request.tags["dagster/asset_partition_range_start"] == day(3)
    assert request.tags["dagster/asset_partition_range_end"] == day(4)
    assert request.tags["mlcicd/request"] == "1,2"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_a_run_that_is_under_way_is_followed(
    world: World, instance: dg.DagsterInstance, status: dg.DagsterRunStatus
):
    world.ask()
    run = made_of(instance, tick(world, instance).run_requests[0], status)

    found = tick(world, instance)

    assert found.run_requests == []
    assert world.kept()[0].run == run
    assert tick(world, instance).skip_reason.skip_message == "the runs that were asked for go on"


def test_what_dagster_has_not_made_or_not_taken_on_is_asked_for_again(
    world: World, instance: dg.DagsterInstance
):
    world.ask()
    (first,) = tick(world, instance).run_requests  # and the daemon is killed
    (again,) = tick(world, instance).run_requests
    made_of(instance, again, dg.DagsterRunStatus.NOT_STARTED)  # and killed again
    (once_more,) = tick(world, instance).run_requests

    assert first.run_key == again.run_key == once_more.run_key
    assert first.asset_selection == again.asset_selection == once_more.asset_selection


def test_the_end_of_a_run_ends_its_request_and_is_seen_on_the_asset(
    world: World, instance: dg.DagsterInstance
):
    world.ask()
    (request,) = tick(world, instance).run_requests
    run = made_of(instance, request, dg.DagsterRunStatus.SUCCESS)
    world.fresh()

    found = tick(world, instance)

    assert world.states() == ["done"]
    on_asset, on_table = found.asset_events
    assert on_asset.asset_key == dg.AssetKey(["keen", "trained_model"])
    assert on_asset.description == "request 1 (code) done: done by one run"
    assert on_asset.metadata["run"] == dg.MetadataValue.dagster_run(run)
    assert on_table.asset_key == dg.AssetKey("requests")
    assert on_table.metadata["requests"].records[0].data["state"] == "done"


def test_a_failure_names_the_step_or_check(world: World, instance: dg.DagsterInstance):
    @dg.asset(key=["keen", "trained_model"])
    def trained_model() -> None:
        raise dg.Failure("17 of 20 rows have no label")

    @dg.asset(key=["keen", "evaluation_report"])
    def evaluation_report() -> None: ...

    @dg.asset_check(asset=evaluation_report, blocking=True)
    def beats_champion() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="roc_auc 0.61 against 0.64")

    for asset, checks in [(trained_model, []), (evaluation_report, [beats_champion])]:
        world.ask(name=str(asset.key))
        (request,) = tick(world, instance).run_requests
        tags = {**request.tags, "dagster/run_key": request.run_key}
        dg.materialize([asset, *checks], instance=instance, raise_on_error=False, tags=tags)
        tick(world, instance)

    assert world.states() == ["failed", "failed"]
    assert world.answers()[0] == "step keen/trained_model failed: 17 of 20 rows have no label"
    assert world.answers()[1] == (
        "check keen/evaluation_report:beats_champion failed: roc_auc 0.61 against 0.64"
    )


def test_a_cancelled_run_fails_its_request(world: World, instance: dg.DagsterInstance):
    world.ask()
    run = made_of(instance, tick(world, instance).run_requests[0], dg.DagsterRunStatus.CANCELED)

    tick(world, instance)

    assert world.answers() == [f"run {run[:8]} was cancelled"]


def test_a_run_from_the_command_line_is_waited_for(world: World, instance: dg.DagsterInstance):
    theirs = create_run_for_test(
        instance, "__ASSET_JOB", status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset(KEEN)
    )
    world.ask()

    found = tick(world, instance)

    assert found.run_requests == []
    assert f"waits for keen: run {theirs.run_id[:8]} works on it" in found.skip_reason.skip_message


def test_time_since_the_last_training_counts_whoever_ran_it(instance: dg.DagsterInstance):
    world = World(retrain={"keen": {**EVERY, "at_most_every": "6h"}})
    world.fresh()
    world.edit("keen/trained_model", "2")
    made = world.records[("keen/trained_model", None)]
    ended = (world.now - timedelta(hours=1)).replace(tzinfo=None).isoformat()
    world.records[("keen/trained_model", None)] = type(made)(**{**vars(made), "at": ended, "seconds": 3600.0})
    world.ask()

    tick(world, instance)

    assert "at most every 6h, and the last run began 2026-01-31 10:00 UTC" in world.answers()[0]


def test_a_budget_that_is_nearly_spent_alerts_its_owner(instance: dg.DagsterInstance):
    world = World(retrain={"keen": {**EVERY, "budget": "10 cpu-hours/month"}})
    world.fresh()
    world.edit("keen/trained_model", "2")
    ledger, alerts = MemoryLedger(), MemoryAlerts()
    cost = TrainingCost(wall_seconds=1, cpu_seconds=4.2 * 3600, gpu_seconds=0, peak_memory_mb=1)
    for _ in range(2):
        ledger.append("trained", "keen", actor="run", details={"cost": cost.model_dump()})
    world.ask()

    tick(world, instance, ledger=ledger, alerts=alerts)

    assert world.states() == ["refused"]  # 1.6 hours are left, and a training takes 4.2
    (standing,) = alerts.standing()
    assert standing.alert.cause == "budget/keen/2026-01"
    assert standing.alert.severity == "critical"


def test_the_sensor_stale_leaves_what_requests_are_about_to_run(world: World, instance: dg.DagsterInstance):
    world.ask()
    (request,) = tick(world, instance).run_requests
    stale = stale_sensor(lambda: world.blueprint)
    resources = {**world.resources(), "landing": world.resources()["known_landing"]}
    asked_of = {name: resources[name] for name in stale.required_resource_keys}

    def say() -> str:
        return stale(dg.build_sensor_context(instance, resources=asked_of)).skip_message

    assert say().startswith("requests are being answered")
    made_of(instance, request, dg.DagsterRunStatus.STARTED)
    assert say().startswith("a run of the plan is going on")


class Location:
    """A code location that has loaded only some lanes."""

    def __init__(self, *lanes: str) -> None:
        self.asset_graph = self
        self._keys = {dg.AssetKey([lane, "any"]) for lane in lanes}

    def get_all_asset_keys(self) -> set[dg.AssetKey]:
        return self._keys


def test_what_the_code_location_has_not_loaded_yet_waits_for_that(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        dg.SensorEvaluationContext, "repository_def", Location("events", "places", "calm"), raising=False
    )
    world.ask("model:keen", "code")
    world.ask("model:nobody", "code")

    found = tick(world, instance)

    assert found.run_requests == []
    assert world.states() == ["pending", "refused"]
    assert world.answers()[0].startswith("waits until the code location is reloaded")
    monkeypatch.undo()
    assert len(tick(world, instance).run_requests) == 1


def test_dynamic_partitions_are_registered_with_their_run(world: World, instance: dg.DagsterInstance):
    events = replace(world.blueprint.datasets["events"], partitions="dynamic")
    world.blueprint = replace(world.blueprint, datasets={**world.blueprint.datasets, "events": events})
    world.land("march", "f1")
    world.ask("dataset:events", "data")

    found = tick(world, instance)

    (request,) = found.run_requests
    assert request.tags["dagster/asset_partition_range_start"] == "march"
    (registered,) = found.dynamic_partitions_requests
    assert (registered.partitions_def_name, registered.partition_keys) == ("events", ["march"])


# -- rollbacks ---------------------------------------------------------------------------------------------


def roll_back(world: World, instance: dg.DagsterInstance) -> Any:
    sensor = rollbacks_sensor(rollback_job(), lambda: frozenset(world.retrain))
    return sensor(dg.build_sensor_context(instance, resources={"requests": world.requests}))


def test_a_rollback_is_launched_at_once_and_once(world: World, instance: dg.DagsterInstance):
    world.ask(cause="code")
    tick(world, instance)  # a training goes on
    for name in "xy":
        world.ask(cause="rollback", name=name, by="asha", evidence={"version": 3})

    (request,) = roll_back(world, instance).run_requests

    assert (request.job_name, request.tags["dagster/priority"]) == ("rollback", "100")
    assert request.run_config["ops"]["roll_back"]["config"] == {
        "model": "keen",
        "by": "asha",
        "reason": "because of x",
        "version": 3,
    }
    assert [one.run_key for one in roll_back(world, instance).run_requests] == [request.run_key]
    made_of(instance, request, dg.DagsterRunStatus.SUCCESS)
    roll_back(world, instance)
    assert world.states() == ["dispatched", "done", "merged"]


@pytest.mark.parametrize("scope", ["model:nobody", "dataset:events", "all"])
def test_a_rollback_of_nothing_is_refused(world: World, instance: dg.DagsterInstance, scope: str):
    world.ask(scope, "rollback")

    roll_back(world, instance)

    assert world.states() == ["refused"]
    assert "a rollback is of a declared model (calm, keen)" in world.answers()[0]


def test_without_a_rollback_there_is_nothing_to_do(world: World, instance: dg.DagsterInstance):
    world.ask(cause="code")

    assert isinstance(roll_back(world, instance), dg.SkipReason)
