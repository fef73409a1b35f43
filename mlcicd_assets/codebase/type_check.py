"""The check `types`: mypy, by the project's own configuration."""

import json

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.tools import ToolFailed, run_module

CHECK = "types"


def check_types(project: Project) -> CheckResult:
    """What mypy finds in the declared paths, or in what its own configuration names; raises ToolFailed."""
    declared = project.declared.types
    files = project.of("python", "models")
    if not files:
        return CheckResult(CHECK, (), "no Python files")
    targets = list(declared.paths)
    if not targets and not _configured(project):
        targets = files
    # With other options mypy's cache is worthless to whoever runs it without them.
    own = ["--cache-dir", ".mypy_cache/source_code", *declared.arguments] if declared.arguments else []
    options = ["--output", "json", "--no-error-summary", *own, *(["--", *targets] if targets else [])]
    # 2 is what it ends with for a file that is no Python: that is a finding, told on stdout.
    answer = run_module("mypy", options, project.root, project.seconds, answers={0, 1, 2})
    findings = [
        _finding(project, json.loads(line)) for line in answer.out.splitlines() if line.startswith("{")
    ]
    if answer.code and not any(finding.blocks for finding in findings):
        told = (answer.out.strip() or answer.err.strip()).splitlines()[-2:]
        raise ToolFailed(f"mypy ended with {answer.code}: {' / '.join(told) or 'it said nothing'}")
    looked_at = ", ".join(targets) if targets and len(targets) <= 3 else plural(len(files), "Python file")
    return CheckResult(CHECK, tuple(findings), looked_at)


def _configured(project: Project) -> bool:
    """Whether the project says itself what is checked."""
    import tomllib

    pyproject = project.root / "pyproject.toml"
    if pyproject.is_file():
        own = tomllib.loads(pyproject.read_text()).get("tool", {}).get("mypy", {})
        if {"files", "packages", "modules"} & set(own):
            return True
    return any((project.root / name).is_file() for name in ("mypy.ini", ".mypy.ini"))


def _finding(project: Project, told: dict[str, object]) -> Finding:
    line = told.get("line")
    return Finding(
        project.named(str(told["file"])),
        line if isinstance(line, int) and line > 0 else None,
        str(told.get("code") or told.get("severity")),
        str(told["message"]),
        blocks=told.get("severity") == "error",
    )
