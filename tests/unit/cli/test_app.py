"""The command line as a whole: errors, exit codes, and what it does not import."""

import subprocess
import sys
from typing import Any

import pytest

from tests.fakes.memory import MemoryRecords


class Broken(MemoryRecords):
    def all(self) -> Any:
        raise KeyError("no such\ncolumn")


def test_an_error_that_nobody_foresaw_is_one_line_with_its_type(world: Any, mlcicd: Any) -> None:
    world.records = Broken()

    result = mlcicd(world, "stale")

    assert result.exit_code == 2
    assert result.stderr.startswith("mlcicd: KeyError: ")
    assert "MLCICD_TRACEBACK=1" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_traceback_can_be_asked_for(world: Any, mlcicd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.records = Broken()
    monkeypatch.setenv("MLCICD_TRACEBACK", "1")

    assert isinstance(mlcicd(world, "stale").exception, KeyError)


def test_the_version_is_the_packages(world: Any, mlcicd: Any) -> None:
    from importlib.metadata import version

    assert mlcicd(world, "--version").stdout.strip() == version("mlcicd-assets")


@pytest.mark.parametrize("asked", ["--help", "status", "stale"])
def test_no_command_for_reading_imports_dagster(asked: str, tmp_path: Any) -> None:
    code = (
        "import sys\n"
        "from mlcicd_assets.cli.app import app\n"
        f"try: app([{asked!r}])\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "heavy = {'dagster', 'sklearn', 'torch', 'evidently'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {"MLCICD_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
