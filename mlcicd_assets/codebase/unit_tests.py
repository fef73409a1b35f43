"""The check `unit_tests`: each model's own tests, in a process of their own."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import require, run_module
from mlcicd_assets.ml.catalogue import ModelLane, load_all

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CHECK = "unit_tests"
# pytest's own exit codes: tests failed; interrupted (an import error); no tests were collected.
_ANSWERS = {0, 1, 2, 5}


@dataclass(frozen=True)
class Ran:
    """One test of a model."""

    model: str
    test: str
    outcome: str  # "passed", "failed", "skipped"
    seconds: float
    message: str = ""
    line: int | None = None
    file: str = ""


def check_unit_tests(project: Project) -> CheckResult:
    """Run the tests that the models declare; a model without any is told. Raises ToolFailed."""
    require("pytest")
    models = load_all(project.defs).models
    folders = {name: lane.folder / lane.model.tests for name, lane in models.items()}
    without = [name for name, folder in folders.items() if not _tests(folder)]
    ran = [
        one
        for name, folder in folders.items()
        if name not in without
        for one in _run(project, models[name], folder)
    ]
    required = project.declared.unit_tests.required
    findings = [
        Finding(
            project.named(folders[name]),
            None,
            "no tests",
            f"{name} has no tests of its own: write test_*.py there, or name another folder in 'tests'",
            blocks=required,
        )
        for name in without
    ]
    findings += [Finding(one.file, one.line, one.test, one.message) for one in ran if one.outcome == "failed"]
    rows: list[Mapping[str, str | int | float]] = [
        {"model": one.model, "test": one.test, "outcome": one.outcome, "seconds": round(one.seconds, 2)}
        for one in ran
    ]
    tested = f"{plural(len(ran), 'test')} of {plural(len(models), 'model')}"
    return CheckResult(CHECK, tuple(findings), tested, tuple(rows))


def _tests(folder: Path) -> list[Path]:
    return [*folder.rglob("test_*.py"), *folder.rglob("*_test.py")]


def _run(project: Project, lane: ModelLane, folder: Path) -> Iterator[Ran]:
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        report = Path(scratch) / "junit.xml"
        # Only the model's tests: what the project's own suite sets up does not count here.
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            "--rootdir",
            str(lane.folder),
            "-c",
            str(_settings(Path(scratch))),
            "--import-mode=importlib",
            f"--junitxml={report}",
            "-o",
            "junit_family=xunit1",  # with file and line
            str(folder),
        ]
        answer = run_module("pytest", options, project.root, project.seconds, answers=_ANSWERS)
        if report.is_file():
            yield from _read(project, lane, report)
        elif answer.code:
            told = (answer.err.strip() or answer.out.strip()).splitlines()[-2:]
            yield Ran(lane.model.name, "pytest", "failed", 0.0, " / ".join(told), None, project.named(folder))


def _settings(scratch: Path) -> Path:
    settings = scratch / "pytest.ini"
    settings.write_text("[pytest]\n")
    return settings


def _read(project: Project, lane: ModelLane, report: Path) -> Iterator[Ran]:
    from xml.etree import ElementTree as ET

    # Written by our own pytest a moment ago.
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314
        yield _case(project, lane, case)


def _case(project: Project, lane: ModelLane, case: "Element") -> Ran:
    problem = next((one for tag in ("failure", "error") for one in case.findall(tag)), None)
    skipped = case.find("skipped") is not None
    file = case.get("file") or ""
    line = case.get("line")
    return Ran(
        lane.model.name,
        case.get("name") or case.get("classname") or "collection",
        "failed" if problem is not None else "skipped" if skipped else "passed",
        float(case.get("time") or 0.0),
        _said(problem) if problem is not None else "",
        int(line) + 1 if line else None,
        project.named(lane.folder / file) if file else project.named(lane.folder / lane.model.tests),
    )


def _said(problem: "Element") -> str:
    """What pytest says went wrong: its lines that begin with E."""
    lines = [line[1:].strip() for line in (problem.text or "").splitlines() if line.startswith("E ")]
    return " / ".join(lines[:3]) or " ".join((problem.get("message") or "failed").split())
