"""The check `ruff`: the project's own rules, on every Python file that counts."""

import json

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import run_module

CHECK = "ruff"


def check_style(project: Project) -> CheckResult:
    """What ruff finds, and files that are not formatted where that is declared; raises ToolFailed."""
    files = project.of("python", "models", "tests")
    if not files:
        return CheckResult(CHECK, (), "no Python files")
    findings = _linted(project, files)
    if project.declared.ruff.format:
        findings += _unformatted(project, files)
    return CheckResult(CHECK, tuple(findings), plural(len(files), "Python file"))


def _linted(project: Project, files: list[str]) -> list[Finding]:
    options = ["check", "--no-cache", "--no-fix", "--force-exclude", "--output-format", "json", "--"]
    answer = run_module("ruff", [*options, *files], project.root, project.seconds, answers={0, 1})
    return [
        Finding(
            project.named(one["filename"]),
            (one.get("location") or {}).get("row"),
            one.get("code") or "syntax",
            one["message"],
        )
        for one in json.loads(answer.out or "[]")
    ]


def _unformatted(project: Project, files: list[str]) -> list[Finding]:
    options = ["format", "--check", "--no-cache", "--force-exclude", "--"]
    answer = run_module("ruff", [*options, *files], project.root, project.seconds, answers={0, 1})
    return [
        Finding(
            line.removeprefix("Would reformat: ").strip(),
            None,
            "format",
            "not formatted; run: ruff format " + line.removeprefix("Would reformat: ").strip(),
        )
        for line in answer.out.splitlines()
        if line.startswith("Would reformat: ")
    ]
