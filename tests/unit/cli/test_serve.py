"""`mlcicd serve`, and how it repairs what a kill left behind."""

import json
from typing import Any


def test_stop_and_start_bring_back_the_champion(world: Any, mlcicd: Any) -> None:
    world.champion()
    mlcicd(world, "serve", "stop")
    assert "serving is stopped" in mlcicd(world, "serve", "status").stdout

    status = mlcicd.json(world, "serve", "start")

    assert status["running"]
    assert status["repaired"] == []
    assert status["servers"][0]["weight"] == 100


def test_start_gives_the_champion_its_traffic(world: Any, mlcicd: Any) -> None:
    # given a release that was killed between the ledger's line and the route
    world.champion()
    world.serving.shares.clear()

    result = mlcicd(world, "serve", "start")

    assert "shop_risk: production follows the champion again, version 1" in result.stdout
    assert world.serving.shares == {("production", "shop_risk"): {1: 100}}


def test_start_launches_a_champion_whose_server_is_gone(world: Any, mlcicd: Any) -> None:
    world.champion()
    world.serving.servers.clear()
    world.serving.shares.clear()

    result = mlcicd(world, "serve", "start")

    assert "shop_risk: version 1 was started again" in result.stdout
    assert world.serving.shares == {("production", "shop_risk"): {1: 100}}


def test_start_refuses_a_champion_whose_bytes_changed(world: Any, mlcicd: Any) -> None:
    world.champion()
    world.serving.servers.clear()
    (run,) = world.tracking.runs
    (world.tracking.root / run / "package" / "features.py").write_text("import os\n")

    result = mlcicd(world, "serve", "start")

    assert result.exit_code == 1
    assert "features.py" in result.stderr
    assert not world.serving.servers


def test_a_server_that_refuses_is_exit_code_1(world: Any, mlcicd: Any) -> None:
    world.champion()
    world.serving.servers.clear()
    world.serving.refusals[world.made.digest] = "the verdict is about another artifact"

    result = mlcicd(world, "serve", "start")

    assert result.exit_code == 1
    assert result.stderr == "mlcicd: refused: the verdict is about another artifact\n"


def test_start_without_a_champion_repairs_nothing(world: Any, mlcicd: Any) -> None:
    assert mlcicd.json(world, "serve", "start")["repaired"] == []


def test_status_starts_nothing(world: Any, mlcicd: Any) -> None:
    mlcicd(world, "serve", "status")

    assert not world.serving.running


def test_targets_are_what_a_prometheus_scrapes(world: Any, mlcicd: Any) -> None:
    world.champion()

    found = json.loads(mlcicd(world, "serve", "targets").stdout)

    (server,) = [one for one in found if one["labels"]["job"] == "model_server"]
    assert server["labels"]["__metrics_path__"] == "/metrics"
    assert (server["labels"]["model"], server["labels"]["version"]) == ("shop_risk", "1")
