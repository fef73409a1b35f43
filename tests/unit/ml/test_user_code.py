import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlcicd_assets.ml.user_code import UserCodeError, load_function, load_object, load_source

Write = Callable[..., Path]


def test_a_function_is_loaded_by_path(write: Write) -> None:
    path = write("def estimator():\n    return 42\n")

    assert load_function(path, "estimator")() == 42


def test_two_files_of_one_name_do_not_mix(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.py").write_text(f"def estimator():\n    return {value}\n")

    loaded = [load_function(tmp_path / folder / "model.py", "estimator")() for folder in ("a", "b")]

    assert loaded == [1, 2]


def test_a_changed_file_is_loaded_anew(write: Write) -> None:
    first = load_function(write("def f():\n    return 1\n"), "f")
    second = load_function(write("def f():\n    return 2\n"), "f")

    assert (first(), second()) == (1, 2)


def test_classes_find_their_module(write: Write) -> None:
    path = write(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from typing import ClassVar\n\n@dataclass\nclass Point:\n    x: int\n    y: ClassVar[int] = 2\n"
    )

    assert load_object(path, "Point")(1).x == 1


def test_a_file_that_raises_is_named_with_its_line(write: Write) -> None:
    path = write("import math\n\nmath.sqrt(-1)\n")

    with pytest.raises(UserCodeError, match=rf"{path.name}, line 3: raised ValueError on import"):
        load_function(path, "estimator")


def test_a_file_that_exits_is_an_error_too(write: Write) -> None:
    with pytest.raises(UserCodeError, match="line 1: raised SystemExit"):
        load_function(write("raise SystemExit(3)\n"), "estimator")


def test_a_module_that_is_not_installed_is_named(write: Write) -> None:
    with pytest.raises(UserCodeError, match=r"line 2: raised ModuleNotFoundError.*no_such_library"):
        load_function(write("\nimport no_such_library\n"), "estimator")


def test_a_syntax_error_is_named_with_its_line(write: Write) -> None:
    with pytest.raises(UserCodeError, match=r"model\.py, line 2: syntax error"):
        load_function(write("x = 1\ndef f(:\n"), "f")


def test_a_missing_name_lists_what_is_there(write: Write) -> None:
    path = write("from math import sqrt\ndef estimater():\n    return 1\n")

    with pytest.raises(UserCodeError, match=r"no 'estimator' \(it has estimater\)"):
        load_function(path, "estimator")


def test_a_value_is_not_a_function(write: Write) -> None:
    with pytest.raises(UserCodeError, match="is a int, not a function"):
        load_function(write("estimator = 3\n"), "estimator")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"model\.py: cannot be read"):
        load_function(tmp_path / "model.py", "estimator")


def test_bytes_that_are_no_source_are_refused() -> None:
    with pytest.raises(UserCodeError, match=r"features\.py"):
        load_source(b"x = 1\0", "features.py", "x")


def test_a_failed_import_leaves_nothing_behind(write: Write) -> None:
    path = write(
        "import pathlib\nif pathlib.Path(__file__).with_name('ready').exists():\n"
        "    def f():\n        return 1\nelse:\n    raise RuntimeError('not yet')\n"
    )
    with pytest.raises(UserCodeError, match="not yet"):
        load_function(path, "f")

    path.with_name("ready").touch()

    assert load_function(path, "f")() == 1


@pytest.mark.parametrize("missing", ["torch", "torch.nn", "skorch"])
def test_a_missing_torch_names_what_installs_it(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    path = write(f"import {missing}\ndef estimator(): ...")

    with pytest.raises(UserCodeError, match=r"pip install 'mlcicd-assets\[torch\]'"):
        load_object(path, "estimator")
