"""The check `ruff`: the project's own rules, on every Python file that counts."""

import json
from typing import Any

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import EXTRA, ToolFailed, run_module

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
    found = _asked(project, ["check", "--no-fix"], files)
    return [_finding(project, one, one.get("code") or "syntax", one["message"]) for one in found]


def _unformatted(project: Project, files: list[str]) -> list[Finding]:
    found = _asked(project, ["format", "--check"], files)
    named = {project.named(one["filename"]): one for one in found if one.get("code") == "unformatted"}
    return [
        _finding(project, one, "format", f"not formatted; run: ruff format {name}")
        for name, one in named.items()
    ]


def _asked(project: Project, command: list[str], files: list[str]) -> list[dict[str, Any]]:
    options = [*command, "--no-cache", "--force-exclude", "--output-format", "json", "--", *files]
    answer = run_module("ruff", options, project.root, project.seconds, answers={0, 1})
    try:
        found: list[dict[str, Any]] = json.loads(answer.out or "[]")
    except ValueError as error:
        raise ToolFailed(f"ruff did not answer as JSON, so it is too old: {EXTRA}") from error
    return found


def _finding(project: Project, one: dict[str, Any], rule: str, message: str) -> Finding:
    return Finding(project.named(one["filename"]), (one.get("location") or {}).get("row"), rule, message)
