"""Linter, type checker and the models' tests, as they are run; and what happens when one cannot."""

import pytest

from mlcicd_assets.codebase import tools
from mlcicd_assets.codebase.registry import run_check
from mlcicd_assets.codebase.style import check_style
from mlcicd_assets.codebase.tools import ToolFailed, run_module
from mlcicd_assets.codebase.type_check import check_types
from mlcicd_assets.codebase.unit_tests import check_unit_tests
from mlcicd_assets.ml.code.codebase import CHECKS


def places(result) -> list[tuple[str, int | None, str]]:
    return [(one.file, one.line, one.rule) for one in result.findings]


def test_an_unused_import_is_told_by_file_line_and_rule(code):
    assert check_style(code.project()).passed
    code.edit("defs/returns/model.py", "def estimator", "import os\n\n\ndef estimator")
    assert places(check_style(code.project())) == [("defs/returns/model.py", 2, "F401")]
    code.write("defs/returns/model.py", "def estimator(:\n")
    assert not check_style(code.project()).passed


def test_formatting_counts_where_it_is_declared(code):
    code.write("shop/a.py", "x = {  'a':1 }\n")
    assert check_style(code.project()).passed
    result = check_style(code.project(ruff={"format": True}))
    assert ("shop/a.py", 1, "format") in places(result)


def test_a_type_error_is_told_by_file_line_and_code(code):
    code.write("shop/price.py", "def price(cents: int) -> str:\n    return cents\n")
    result = check_types(code.project(types={"paths": ["shop"]}))
    assert places(result) == [("shop/price.py", 2, "return-value")]
    code.write("shop/price.py", "def price(:\n")
    assert not check_types(code.project(types={"paths": ["shop"]})).passed


def test_a_failing_test_of_a_model_is_told_and_the_passing_ones_shown(code):
    passing = check_unit_tests(code.project())
    assert passing.passed
    assert [(row["model"], row["outcome"]) for row in passing.rows] == [("returns", "passed")]

    code.write(
        "defs/returns/tests/test_more.py", "def test_sum():\n    assert 1 + 1 == 3, 'sums are wrong'\n"
    )
    code.write("defs/returns/tests/test_broken.py", "import no_such_module\n")
    result = check_unit_tests(code.project())
    told = {one.file.rpartition("/")[2]: one.message for one in result.findings}
    assert "sums are wrong" in told["test_more.py"]
    assert any("no_such_module" in message for message in told.values())


def test_a_model_without_tests_is_told_and_blocks_where_they_are_required(code):
    (code.root / "defs/returns/tests/test_model.py").unlink()
    result = check_unit_tests(code.project())
    assert result.passed
    assert "returns has no tests of its own" in result.summary()
    assert not check_unit_tests(code.project(unit_tests={"required": True})).passed


def test_a_tool_that_is_missing_fails_its_check_and_says_what_to_install(code, monkeypatch):
    monkeypatch.setattr(tools, "find_spec", lambda _: None)
    for check in ("ruff", "types", "unit_tests", "secrets"):
        result = run_check(check, code.project())
        assert not result.passed
        assert "is not installed, so nothing was checked: pip install 'mlcicd-assets[ci]'" in result.summary()


@pytest.fixture
def here(monkeypatch) -> None:
    """Modules beside the code are tools, too."""
    monkeypatch.setattr(tools, "require", lambda _: None)


def test_a_tool_that_takes_too_long_is_ended(code, here):
    code.write("hanging.py", "import time\ntime.sleep(600)\n")
    with pytest.raises(ToolFailed, match="did not end in 1 s"):
        run_module("hanging", [], code.root, 1.0, answers={0})


def test_a_tool_that_breaks_is_no_pass(code, here):
    code.write("broken.py", "import sys\nprint('out of memory', file=sys.stderr)\nsys.exit(3)\n")
    with pytest.raises(ToolFailed, match="broken ended with 3: out of memory"):
        run_module("broken", [], code.root, 10.0, answers={0, 1})


def test_tools_run_without_the_secrets_of_the_environment(code, here, monkeypatch):
    monkeypatch.setenv("GITHUB_TOKEN", "planted")
    monkeypatch.setenv("SHOP_REGION", "eu")
    code.write("told.py", "import os\nprint(os.environ.get('GITHUB_TOKEN'), os.environ.get('SHOP_REGION'))\n")
    assert run_module("told", [], code.root, 10.0, answers={0}).out == "None eu\n"


def test_every_check_can_be_run(code):
    assert all(
        run_check(check, code.project()).looked_at for check in CHECKS if check not in {"types", "licences"}
    )
