"""The framework's fingerprints are worked out once for the same files, and anew for others."""

import sys
from pathlib import Path

import pytest

from mlcicd_assets.ml.code.kept_fingerprints import kept


@pytest.fixture(autouse=True)
def _bytecode_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "fit.py").write_text("x = 1\n")
    return folder


def made(text: str) -> dict[str, dict[str, str]]:
    return {"trained_model": {"inner/fit.py": text}}


def never() -> dict[str, dict[str, str]]:
    raise AssertionError("the same files were worked out again")


def test_the_same_files_are_worked_out_once(package: Path) -> None:
    assert kept(package, lambda: made("a")) == made("a")

    assert kept(package, never) == made("a")


def test_a_changed_or_a_new_file_is_noticed(package: Path) -> None:
    kept(package, lambda: made("a"))
    (package / "inner" / "fit.py").write_text("x = 22\n")

    assert kept(package, lambda: made("b")) == made("b")
    (package / "more.py").write_text("")
    assert kept(package, lambda: made("c")) == made("c")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"files": {}}'])
def test_what_is_damaged_is_made_anew(package: Path, damage: str) -> None:
    kept(package, lambda: made("a"))
    (place,) = (package / "__pycache__").iterdir()
    place.write_text(damage)

    assert kept(package, lambda: made("b")) == made("b")


def test_where_python_writes_no_bytecode_nothing_is_kept(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    assert kept(package, lambda: made("a")) == made("a")
    assert not (package / "__pycache__").exists()


def test_a_folder_that_cannot_be_written_only_costs_time(package: Path) -> None:
    (package / "__pycache__").write_text("a file where the folder should be")

    assert kept(package, lambda: made("a")) == made("a")
