"""The check `unit_tests`: each model's own tests, in a process of their own."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import require, run_module
from mlcicd_assets.ml.catalogue import load_all

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
    folders = {name: (lane.folder / lane.model.tests).resolve() for name, lane in models.items()}
    without = [name for name, folder in folders.items() if not _tests(folder)]
    ran = list(_run(project, {name: folders[name] for name in folders if name not in without}))
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


def _run(project: Project, folders: Mapping[str, Path]) -> Iterator[Ran]:
    """All in one process: libraries are loaded once. What the project's own suite sets up is left out."""
    if not folders:
        return
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        report = Path(scratch) / "junit.xml"
        options = [
            "-q",
            *("-p", "no:cacheprovider"),
            *("--rootdir", str(project.root.resolve())),
            *("--confcutdir", str(project.defs.resolve())),
            *("-c", str(_settings(Path(scratch)))),
            *("-o", "junit_family=xunit1"),  # with file and line
            "--import-mode=importlib",
            "--continue-on-collection-errors",
            f"--junitxml={report}",
            *(str(folder) for folder in folders.values()),
        ]
        answer = run_module("pytest", options, project.root, project.seconds, answers=_ANSWERS)
        if report.is_file():
            yield from _read(project, folders, report)
        elif answer.code:
            told = (answer.err.strip() or answer.out.strip()).splitlines()[-2:]
            yield Ran("all", "pytest", "failed", 0.0, " / ".join(told))


def _settings(scratch: Path) -> Path:
    settings = scratch / "pytest.ini"
    settings.write_text("[pytest]\n")
    return settings


def _read(project: Project, folders: Mapping[str, Path], report: Path) -> Iterator[Ran]:
    from xml.etree import ElementTree as ET

    # Written by our own pytest a moment ago.
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314
        yield _case(project, folders, case)


def _case(project: Project, folders: Mapping[str, Path], case: "Element") -> Ran:
    problem = next((one for tag in ("failure", "error") for one in case.findall(tag)), None)
    skipped = case.find("skipped") is not None
    file, line = _file(project, case), case.get("line")
    path = project.root.resolve() / file
    return Ran(
        next((name for name, folder in folders.items() if path.is_relative_to(folder)), ""),
        case.get("name") or case.get("classname") or "collection",
        "failed" if problem is not None else "skipped" if skipped else "passed",
        float(case.get("time") or 0.0),
        _said(problem) if problem is not None else "",
        int(line) + 1 if line else None,
        file,
    )


def _file(project: Project, case: "Element") -> str:
    """The test's file; of one that could not be imported pytest gives the dotted name."""
    file = case.get("file")
    if file:
        return project.named(file)
    dotted = f"{(case.get('name') or '').replace('.', '/')}.py"
    return dotted if (project.root / dotted).is_file() else ""


def _said(problem: "Element") -> str:
    """What pytest says went wrong: its lines that begin with E."""
    lines = [line[1:].strip() for line in (problem.text or "").splitlines() if line.startswith("E ")]
    return " / ".join(lines[:3]) or " ".join((problem.get("message") or "failed").split())
