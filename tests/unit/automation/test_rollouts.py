"""The sensor that advances rollouts, and the rollback from the UI."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.automation.rollouts import rollback_job, rollouts_sensor
from mlcicd_assets.ml.catalogue import Catalogue
from resources.protocols import ResourceError
from resources.reports import ReportFolder
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL
from tests.fakes.rollouts import Stage


@pytest.fixture(scope="session")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_catalogue(tmp_path_factory.mktemp("declared") / "defs").models[MODEL]


@pytest.fixture
def stage(lane: Any) -> Stage:
    made = Stage(lane, strategy="canary")
    made.champion_of(1)
    return made


def resources(stage: Stage, folder: Path) -> dict[str, Any]:
    world = stage.rollouts().world
    return {
        "ledger": world.ledger,
        "registry": world.registry,
        "tracking": object(),  # nobody asks it here: what is warm has proven itself
        "keys": world.keys,
        "serving": world.serving,
        "predictions": world.predictions,
        "lake": world.lake,
        "reports": ReportFolder(folder),
    }


def tick(stage: Stage, folder: Path) -> Any:
    catalogue = Catalogue({}, {MODEL: stage.lane})
    context = dg.build_sensor_context(resources=resources(stage, folder))
    return rollouts_sensor(lambda: catalogue)(context)


def test_nothing_goes_on(stage: Stage, tmp_path: Path) -> None:
    found = tick(stage, tmp_path)

    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "no rollout goes on"


def test_a_tick_says_where_a_rollout_stands(stage: Stage, tmp_path: Path) -> None:
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()
    stage.rollouts().pause(by="ada", reason="lunch")

    found = tick(stage, tmp_path)

    assert "version 2 is held, step 1 of 3 (canary 10 %): lunch" in found.skip_message


def test_a_tick_takes_a_failing_canary_back_and_shows_it_on_the_asset(stage: Stage, tmp_path: Path) -> None:
    stage.begin(2)
    while stage.state.baseline is None or stage.state.phase != "baking":
        stage.tick()
    stage.traffic(bad=2)

    found = tick(stage, tmp_path)

    assert (stage.state.phase, stage.routes) == ("rolled_back", {1: 100})
    (event,) = found.asset_events
    assert isinstance(event, dg.AssetObservation)
    assert event.asset_key.path == [MODEL, "deployment"]
    assert "errors" in event.metadata["rollout"].value
    assert {"analysis", "timeline", "page"} <= set(event.metadata)
    assert (tmp_path / MODEL / f"rollout-{stage.state.id}.html").is_file()


def test_a_tick_that_ends_a_rollout_materializes_the_deployment(stage: Stage, tmp_path: Path) -> None:
    stage.begin(2)
    while stage.state.phase != "watching":
        stage.traffic()
        stage.tick(10)

    found = tick(stage, tmp_path)  # by the real clock, the watch is long over

    (event,) = found.asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.metadata["version"].value == 2
    assert stage.state.phase == "promoted"


def test_a_model_that_cannot_go_on_does_not_hold_up_the_sensor(stage: Stage, tmp_path: Path) -> None:
    stage.begin(2)
    while stage.state.phase != "watching":
        stage.traffic()
        stage.tick(10)
    stage.rollouts().abort(by="ada", reason="stop")

    def broken(*_: Any, **__: Any) -> None:
        raise ResourceError("Envoy does not answer")

    stage.serving.route = broken  # type: ignore[method-assign]

    assert "rolling back: stop: Envoy does not answer" in tick(stage, tmp_path).skip_message


def test_the_job_rolls_back(stage: Stage, tmp_path: Path) -> None:
    stage.begin(2)
    while stage.state.phase != "watching":
        stage.traffic()
        stage.tick(10)
    config = {"model": MODEL, "by": "ada", "reason": "complaints"}

    result = rollback(stage, tmp_path, config)

    assert result.success
    assert (stage.champion, stage.routes) == (1, {1: 100})
    line = next(line for line in stage.ledger.lines if line.action == "rolled_back")
    assert (line.actor, line.reason) == ("ada", "complaints")


def test_the_job_says_what_it_refuses(stage: Stage, tmp_path: Path) -> None:
    result = rollback(stage, tmp_path, {"model": MODEL, "by": "ada", "reason": "complaints"})

    assert not result.success
    failure = result.get_step_failure_events()[0].event_specific_data.error
    assert "no version served before version 1" in str(failure)


def rollback(stage: Stage, folder: Path, config: dict[str, Any]) -> dg.ExecuteInProcessResult:
    catalogue = Catalogue({}, {MODEL: stage.lane})
    job = rollback_job(lambda: catalogue)
    return job.execute_in_process(
        run_config={"ops": {"roll_back": {"config": config}}},
        resources=resources(stage, folder),
        raise_on_error=False,
    )
