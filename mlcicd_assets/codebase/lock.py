"""The check `lock`: every declared dependency has one pinned version, and that one satisfies the range."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project

if TYPE_CHECKING:
    from packaging.requirements import Requirement

CHECK = "lock"
_PINNED = "=="


def check_lock(project: Project) -> CheckResult:
    """Compare what the project declares with what it pins."""
    declared = project.declared.lock
    pyproject, constraints = project.root / declared.project, project.root / declared.constraints
    missing = [
        Finding(path.name, None, "missing", f"there is no {path.name}: {remedy}")
        for path, remedy in (
            (pyproject, "declare the dependencies, or name the file in 'lock.project'"),
            (constraints, "pin them (uv pip compile), or name the file in 'lock.constraints'"),
        )
        if not path.is_file()
    ]
    if missing:
        return CheckResult(CHECK, tuple(missing), "nothing")
    findings, count = compare(
        pyproject.read_text(),
        constraints.read_text(),
        files=(declared.project, declared.constraints),
        unpinned=declared.unpinned,
    )
    return CheckResult(CHECK, tuple(findings), plural(count, "declared dependency", "declared dependencies"))


def compare(
    pyproject: str, constraints: str, *, files: tuple[str, str], unpinned: Collection[str] = ()
) -> tuple[list[Finding], int]:
    """What is not in step between both texts, and how many dependencies were looked at.

    `files` are the names that findings have. A package in `unpinned` may stay a range; those that only other
    platforms need are left out.
    """
    from packaging.utils import canonicalize_name

    try:
        document = tomllib.loads(pyproject)
    except tomllib.TOMLDecodeError as error:
        return [Finding(files[0], None, "syntax", f"not TOML: {error}")], 0
    pins, findings = _pins(constraints, files[1])
    free = {canonicalize_name(name) for name in unpinned}
    lines = pyproject.splitlines()
    count = 0
    for text in _requirements(document):
        count += 1
        findings += [
            Finding(files[0], _line(lines, text), rule, message)
            for rule, message in _problems(text, pins, free, files[1])
        ]
    return findings, count


def _requirements(document: Mapping[str, Any]) -> Iterator[str]:
    project = document.get("project", {})
    yield from project.get("dependencies", [])
    groups = {**project.get("optional-dependencies", {}), **document.get("dependency-groups", {})}
    for entries in groups.values():
        yield from (entry for entry in entries if isinstance(entry, str))


def _problems(
    text: str, pins: Mapping[str, str], free: Collection[str], constraints: str
) -> Iterator[tuple[str, str]]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        yield "syntax", f"{text!r} is no requirement: {str(error).splitlines()[0]}"
        return
    name = canonicalize_name(found.name)
    if name in free or (found.marker and not found.marker.evaluate({"extra": ""})):
        return
    if name not in pins:
        yield (
            "unpinned",
            f"{found.name} has no version in {constraints}: lock anew (make lock), and commit it",
        )
    elif not found.specifier.contains(pins[name], prereleases=True):
        yield (
            "outside",
            f"{constraints} has {found.name} {pins[name]}, but {_range(found)} is declared: lock anew",
        )


def _range(found: "Requirement") -> str:
    return str(found.specifier) or "any version"


def _pins(text: str, file: str) -> tuple[dict[str, str], list[Finding]]:
    """Package -> version, and the lines that pin nothing."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    pins: dict[str, str] = {}
    findings = []
    for number, line in enumerate(text.splitlines(), start=1):
        entry = re.split(r"\s#|\s--hash|\s\\$", f" {line}")[0].strip() if not line.startswith("#") else ""
        if not entry or entry.startswith("-"):
            continue
        try:
            found = Requirement(entry)
        except InvalidRequirement:
            findings.append(Finding(file, number, "syntax", f"{entry!r} is no requirement"))
            continue
        exact = [one.version for one in found.specifier if one.operator == _PINNED and "*" not in one.version]
        if not exact:
            findings.append(
                Finding(file, number, "range", f"{entry!r} pins nothing: write {found.name}==VERSION")
            )
        elif found.marker is None or found.marker.evaluate():
            pins[canonicalize_name(found.name)] = exact[0]
    return pins, findings


def _line(lines: list[str], text: str) -> int | None:
    return next((number for number, line in enumerate(lines, start=1) if text in line), None)
