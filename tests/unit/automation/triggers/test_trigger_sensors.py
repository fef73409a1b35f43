"""The sensors as Dagster runs them: cursor, message, and what is shown at a partition."""

import time
from pathlib import Path

import dagster as dg
import pytest

from mlcicd_assets.automation.switch import VARIABLE
from mlcicd_assets.automation.triggers.data_trigger import data_trigger
from mlcicd_assets.automation.triggers.git_trigger import git_trigger
from mlcicd_assets.ml.catalogue import load_all
from resources.arrivals import WholeFiles
from resources.landing import LandingFolder
from resources.protocols import Materialization
from resources.repository_git import OwnRepository
from resources.source_sql import SqlWarehouse
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.inbox import MemoryInbox
from tests.fakes.memory import MemoryRecords
from tests.fakes.projects import Project, write_project
from tests.fakes.repositories import Clone
from tests.fakes.requests import MemoryRequests


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    made = write_project(tmp_path / "project", tmp_path / "home")
    made.edit("returns/defs.yaml", "  dataset: sales\n", "  dataset: sales\n  retrain: {}\n")
    Clone.new(made.root).commit("first")
    return made


def resources(project: Project) -> dict[str, object]:
    later = WholeFiles(LandingFolder(project.home), lambda: time.time() + 60)
    return {
        "known_landing": later,
        "warehouse": SqlWarehouse({}),
        "repository": OwnRepository(project.root),
        "requests": MemoryRequests(),
        "records": MemoryRecords(),
        "inbox": MemoryInbox(),
        "alerts": MemoryAlerts(),
    }


def ticked(sensor: dg.SensorDefinition, given: dict[str, object], cursor: str | None) -> dg.SensorResult:
    with dg.DagsterInstance.ephemeral() as instance:
        result = sensor(dg.build_sensor_context(instance, cursor=cursor, resources=given))
    assert isinstance(result, dg.SensorResult)
    return result


def test_git_trigger(project: Project) -> None:
    given = resources(project)
    sensor = git_trigger(lambda: load_all(project.defs), project.root)

    first = ticked(sensor, given, None)
    second = ticked(sensor, given, first.cursor)

    assert "returns was never trained" in str(first.skip_reason)
    assert "no branch that a model watches has moved" in str(second.skip_reason)
    assert len(given["requests"].pending()) == 1  # type: ignore[attr-defined]


def test_data_trigger_says_which_webhook_names_no_dataset(project: Project) -> None:
    given = resources(project)
    given["inbox"].put("data", "standard-webhooks", ["msg_1"], {"dataset": "salse"})  # type: ignore[attr-defined]

    told = ticked(data_trigger(lambda: load_all(project.defs).datasets), given, None)

    assert "a webhook names 'salse', which is no dataset" in str(told.skip_reason)
    assert given["inbox"].waiting("data") == []  # type: ignore[attr-defined]


def test_data_trigger_shows_what_was_deleted_at_its_partition(project: Project) -> None:
    given = resources(project)
    project.land(["2026-01", "2026-02"])
    sensor = data_trigger(lambda: load_all(project.defs).datasets)
    first = ticked(sensor, given, None)
    assert "2 partitions, 2026-01 to 2026-02" in str(first.skip_reason)
    for key in ("2026-01", "2026-02"):
        found = given["known_landing"].find("landing/sales/{partition}.parquet", key)  # type: ignore[attr-defined]
        given["records"].write(  # type: ignore[attr-defined]
            Materialization("sales/raw_data", key, "c", {"file": found.fingerprint}, "x", "2026", "run", 1.0)
        )

    (project.home / "landing/sales/2026-01.parquet").unlink()
    second = ticked(sensor, given, first.cursor)
    third = ticked(sensor, given, second.cursor)

    (event,) = second.asset_events
    assert isinstance(event, dg.AssetObservation)
    assert (event.asset_key, event.partition) == (dg.AssetKey(["sales", "raw_data"]), "2026-01")
    assert third.asset_events == []


@pytest.mark.parametrize(("value", "status"), [("on", "RUNNING"), ("", "STOPPED"), ("off", "STOPPED")])
def test_triggers_run_from_the_start_only_where_automation_is_on(
    monkeypatch: pytest.MonkeyPatch, value: str, status: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)

    assert {git_trigger().default_status.value, data_trigger().default_status.value} == {status}
