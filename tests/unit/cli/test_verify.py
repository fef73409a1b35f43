"""`mlcicd verify` tries to refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def steps(mlcicd: Any, world: Any, target: str = "shop_risk") -> dict[str, tuple[bool, str]]:
    import json

    result = mlcicd(world, "verify", target, "--json")
    report = json.loads(result.stdout)
    assert report["passed"] == (result.exit_code == 0)
    assert result.exit_code in (0, 1)
    return {step["name"]: (step["passed"], step["detail"]) for step in report["steps"]}


def kept(world: Any, name: str) -> Path:
    """A file as the run keeps it."""
    (run,) = world.tracking.runs
    return Path(world.tracking.root / run / name)


def test_a_champion_is_proven_to_its_server(world: Any, mlcicd: Any) -> None:
    world.champion()

    told = steps(mlcicd, world)

    assert list(told) == ["version", "package", "verdict", "approval", "ledger", "server"]
    assert all(passed for passed, _ in told.values())
    assert world.made.digest in told["package"][1]
    assert "signed by key" in told["verdict"][1]
    assert told["approval"][1] == "not needed (risk low)"
    assert "promoted" in told["ledger"][1]


def test_people_read_a_line_for_each_step(world: Any, mlcicd: Any) -> None:
    world.champion()

    result = mlcicd(world, "verify", "shop_risk@champion")

    assert [line.split()[1] for line in result.stdout.splitlines()] == [
        "version:",
        "package:",
        "verdict:",
        "approval:",
        "ledger:",
        "server:",
    ]


def test_a_version_that_never_served_is_proven_without_a_server(world: Any, mlcicd: Any) -> None:
    world.registered()

    told = steps(mlcicd, world, "shop_risk@1")

    assert told["server"] == (True, "no server runs this version, and it is not the champion")


def test_no_champion_is_a_refusal(world: Any, mlcicd: Any) -> None:
    assert steps(mlcicd, world) == {
        "version": (False, "shop_risk has no champion yet; materialize shop_risk/deployment")
    }


def test_an_unknown_version_is_a_refusal(world: Any, mlcicd: Any) -> None:
    assert not steps(mlcicd, world, "shop_risk@7")["version"][0]


def test_a_flipped_byte_of_the_model_is_refused(world: Any, mlcicd: Any) -> None:
    world.champion()
    model = kept(world, "package/model.onnx")
    content = bytearray(model.read_bytes())
    content[100] ^= 1
    model.write_bytes(content)

    told = steps(mlcicd, world)

    assert not told["package"][0]
    assert "model.onnx" in told["package"][1]
    assert "verdict" not in told


def test_a_flipped_byte_of_the_verdict_is_refused(world: Any, mlcicd: Any) -> None:
    world.champion()
    file = kept(world, "verdict.json")
    content = bytearray(file.read_bytes())
    content[50] ^= 1
    file.write_bytes(content)

    assert not steps(mlcicd, world)["verdict"][0]


def test_a_gate_that_was_raised_since_is_refused(world: Any, mlcicd: Any, tmp_path: Path) -> None:
    from mlcicd_assets.ml.catalogue import load_all

    world.champion()
    declaration = tmp_path / "defs" / "shop_risk" / "defs.yaml"
    declaration.write_text(declaration.read_text().replace(">= 0.60", ">= 0.80"))
    world.catalogue = load_all(tmp_path / "defs")

    passed, detail = steps(mlcicd, world)["verdict"]

    assert not passed
    assert "0.8" in detail


def test_a_failed_gate_is_refused(world: Any, mlcicd: Any) -> None:
    gate = {"name": "roc_auc", "value": 0.5, "bound": ">= 0.60", "passed": False}
    world.registered(gates=[gate])

    passed, detail = steps(mlcicd, world, "shop_risk@1")["verdict"]

    assert not passed
    assert "gate 'roc_auc' failed: value 0.5, bound >= 0.60" in detail


def test_high_risk_without_an_approval_is_refused(make_world: Callable[..., Any], mlcicd: Any) -> None:
    world = make_world(risk="high")
    world.champion()

    passed, detail = steps(mlcicd, world)["approval"]

    assert not passed
    assert "mlcicd approve shop_risk 1" in detail


def test_high_risk_with_an_approval_names_the_person(make_world: Callable[..., Any], mlcicd: Any) -> None:
    world = make_world(risk="high")
    world.registered()
    mlcicd(world, "approve", "shop_risk", "1", "--by", "ada", "--reason", "looked at it")

    passed, detail = steps(mlcicd, world, "shop_risk@1")["approval"]

    assert passed
    assert detail.startswith("by ada at ")
    assert detail.endswith(": looked at it")


def test_a_ledger_that_was_tampered_with_is_refused(world: Any, mlcicd: Any, tmp_path: Path) -> None:
    import sqlite3

    world.champion()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type='trigger'")]
        for name in names:
            connection.execute(f"drop trigger {name}")
        connection.execute("update ledger_entries set actor = 'somebody else' where action = 'promoted'")

    passed, detail = steps(mlcicd, world)["ledger"]

    assert not passed
    assert "tampered" in detail


@pytest.mark.parametrize("what", ["digest", "traffic", "stopped"])
def test_a_server_that_is_not_the_champion_is_refused(world: Any, mlcicd: Any, what: str) -> None:
    from dataclasses import replace

    world.champion()
    place = ("production", "shop_risk", 1)
    if what == "digest":
        world.serving.servers[place] = replace(world.serving.servers[place], digest="f" * 64)
    elif what == "traffic":
        world.serving.address = "http://127.0.0.1:9"
    else:
        world.serving.stop()

    passed, detail = steps(mlcicd, world)["server"]

    assert not passed
    assert {"digest": "serves ffffffffffff", "traffic": "answers for version none"}.get(
        what, "not serving"
    ) in (detail)


def test_a_target_that_cannot_be_read_is_bad_usage(world: Any, mlcicd: Any) -> None:
    result = mlcicd(world, "verify", "shop_risk@@1")

    assert result.exit_code == 2
    assert "reads like flight_delay" in result.stderr
