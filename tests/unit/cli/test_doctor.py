"""What `mlcicd doctor` sees on this machine."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlcicd_assets.cli import machine


def findings(mlcicd: Any, world: Any) -> dict[str, dict[str, str]]:
    import json

    result = mlcicd(world, "doctor", "--json")
    return {finding["name"]: finding for finding in json.loads(result.stdout)}


def test_this_machine_has_what_is_needed(world: Any, mlcicd: Any) -> None:
    result = mlcicd(world, "doctor")

    assert result.exit_code == 0, result.stdout
    assert "everything that is needed is here" in result.stdout
    assert "2 datasets and 1 models" in result.stdout


def test_a_key_that_others_may_read_is_found(world: Any, mlcicd: Any) -> None:
    keys = world.session.home.keys
    keys.mkdir(parents=True)
    (keys / "signing.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    (keys / "signing.pem").chmod(0o644)

    found = findings(mlcicd, world)["keys"]

    assert found["state"] == "missing"
    assert found["remedy"] == f"chmod 600 {keys}/signing.pem"
    assert mlcicd(world, "doctor").exit_code == 1


def test_a_declaration_that_cannot_be_used_is_named(world: Any, mlcicd: Any) -> None:
    (world.catalogue.datasets["shops"].folder / "upstream.py").unlink()

    found = findings(mlcicd, world)["declarations"]

    assert found["state"] == "missing"
    assert "there is no file" in found["found"]


def test_an_unset_dagster_home_is_noted(world: Any, mlcicd: Any) -> None:
    assert findings(mlcicd, world)["DAGSTER_HOME"]["state"] == "note"

    world.environment["DAGSTER_HOME"] = str(world.folder / "dagster")
    assert "dagster.yaml" in findings(mlcicd, world)["DAGSTER_HOME"]["found"]


def test_a_tracking_server_that_does_not_answer_is_missing_without_its_password(
    world: Any, mlcicd: Any
) -> None:
    world.environment["MLFLOW_TRACKING_URI"] = "http://ada:secret@127.0.0.1:9"

    found = findings(mlcicd, world)["MLflow"]

    assert found["state"] == "missing"
    assert "secret" not in str(found)


def test_a_home_that_cannot_be_written_is_missing(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "access", lambda *_: False)

    found = machine.home(world.session)

    assert found.state == "missing"
    assert "MLCICD_HOME" in found.remedy


def test_a_full_disk_is_missing(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))

    assert machine.disk(world.session).state == "missing"


def test_another_python_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PYTHONS", ((3, 99),))

    assert "Python 3.99 is needed" in machine.python().remedy


def test_a_program_that_does_not_run_is_missing() -> None:
    found = machine._runs(
        "Envoy", [sys.executable, "-c", "raise SystemExit('GLIBC_2.99 not found')"], "remedy"
    )

    assert found == machine.Finding("Envoy", "missing", "does not run: GLIBC_2.99 not found", "remedy")


def test_other_versions_than_the_tested_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_pins", lambda: {"polars": "0.0.1"})

    (found,) = machine.packages()

    assert found.state == "note"
    assert "(tested with 0.0.1)" in found.found


def test_init_makes_the_home_and_keeps_settings_of_others(world: Any, tmp_path: Path) -> None:
    from mlcicd_assets.cli.init import prepare

    home = prepare(world.session)
    assert (home / "dagster" / "dagster.yaml").is_file()

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "dagster.yaml").write_text("storage: {}\n")
    world.environment["DAGSTER_HOME"] = str(elsewhere)
    prepare(world.session)

    assert (elsewhere / "dagster.yaml").read_text() == "storage: {}\n"
