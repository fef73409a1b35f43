"""The lock is in step with what is declared: this project's own, and every way in which one may not be."""

from pathlib import Path

import pytest

from mlcicd_assets.codebase.lock import check_lock, compare

ROOT = Path(__file__).parents[3]
FILES = ("pyproject.toml", "constraints.txt")


def project(*requirements: str) -> str:
    return f"[project]\nname = 'x'\ndependencies = {list(requirements)!r}\n"


def found(pyproject: str, constraints: str, **options) -> list[tuple[str, str]]:
    return [(one.rule, one.message) for one in compare(pyproject, constraints, files=FILES, **options)[0]]


def test_what_is_pinned_within_its_range_passes():
    assert found(project("polars>=2,<3", "Pandera[polars]>=0.3"), "polars==2.1\npandera==0.35 # why\n") == []


@pytest.mark.parametrize(
    ("declared", "constraints", "rule", "message"),
    [
        ("polars>=2", "", "unpinned", "polars has no version in constraints.txt"),
        ("polars>=2,<3", "polars==3.1", "outside", "has polars 3.1, but <3,>=2 is declared"),
        ("polars>=2", "polars>=2", "range", "'polars>=2' pins nothing"),
        ("polars>=2", "polars==2.*", "range", "pins nothing"),
        ("polars>>2", "polars==2.1", "syntax", "is no requirement"),
        ("polars", "polars==2.1\n== 3", "syntax", "is no requirement"),
    ],
)
def test_what_is_not_in_step_is_named(declared, constraints, rule, message):
    rules = dict(found(project(declared), constraints))
    assert message in rules[rule]


def test_extras_and_groups_are_dependencies_too():
    text = (
        project() + "[project.optional-dependencies]\nnet = ['torch']\n[dependency-groups]\ndev = ['ruff']\n"
    )
    assert [message.split()[0] for _, message in found(text, "")] == ["torch", "ruff"]
    assert [message.split()[0] for _, message in found(text, "", unpinned=["Torch"])] == ["ruff"]


def test_what_another_platform_needs_is_not_missed():
    assert found(project("pywin32; sys_platform == 'win32'"), "") == []


def test_a_missing_lock_blocks(code):
    (code.root / "constraints.txt").unlink()
    result = check_lock(code.project())
    assert not result.passed
    assert "there is no constraints.txt" in result.summary()


def test_a_finding_has_its_line(code):
    code.edit("pyproject.toml", 'dependencies = ["polars', 'dependencies = [\n  "httpx",\n  "polars')
    result = check_lock(code.project(lock={"unpinned": ["torch"]}))
    assert [(one.file, one.line, one.rule) for one in result.findings] == [("pyproject.toml", 5, "unpinned")]
