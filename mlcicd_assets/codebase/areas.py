"""Which areas of the code there are, which check watches which, and fingerprints of what it watches.

Plain and quick: staleness asks this of every file at each command.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mlcicd_assets.ml.fingerprint import value_fingerprint

if TYPE_CHECKING:
    from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration

ASSET = "source_code"
AREAS = ("python", "models", "declarations", "tests", "manifests", "dependencies", "other")
_PYTHON = ("python", "models", "tests", "dependencies")
# A check runs again when any of these has changed; the secrets may be anywhere.
WATCHES: Mapping[str, tuple[str, ...]] = {
    "declarations": ("declarations", "models", "python", "dependencies"),
    "lock": ("dependencies",),
    "ruff": _PYTHON,
    "secrets": AREAS,
    "licences": ("dependencies",),
    "manifests": ("manifests",),
    "types": _PYTHON,
    "unit_tests": ("declarations", *_PYTHON),
    "feature_contract": ("declarations", "models", "python", "dependencies"),
}
_DEPENDENCIES = re.compile(
    r"^(pyproject\.toml|setup\.(cfg|py)|tox\.ini|(ruff|\.ruff)\.toml|\.?mypy\.ini|pytest\.ini|uv\.lock|"
    r"(requirements|constraints)[\w.-]*\.txt)$"
)
_MANIFESTS = re.compile(r"^deploy/.*\.(ya?ml|json|tpl)$")
_TEST = re.compile(r"(^|/)(tests?/|test_[^/]*\.py$|conftest\.py$)")


@dataclass(frozen=True)
class CodeShape:
    """What of a declared code base decides which checks must run."""

    paths: tuple[str, ...]
    excluded: tuple[str, ...]
    # check -> fingerprint of what is declared for it
    checks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, declared: "CodeBaseDeclaration") -> "CodeShape":
        """From the declaration."""
        checks: dict[str, str] = {}
        for check in declared.checks:
            options = getattr(declared, check, None)
            checks[check] = value_fingerprint(options.model_dump(mode="json") if options else {})[:16]
        return cls(tuple(declared.paths), tuple(declared.excluded), checks)

    @classmethod
    def parse(cls, text: Mapping[str, Any]) -> "CodeShape":
        """From JSON values, where tuples are lists."""
        return cls(tuple(text["paths"]), tuple(text["excluded"]), dict(text["checks"]))


def counted(shape: CodeShape, files: Mapping[str, str]) -> dict[str, str]:
    """The files that the declaration is about."""
    within, without = _matcher(shape.paths), _matcher(shape.excluded)
    return {name: content for name, content in files.items() if within(name) and not without(name)}


def matching(patterns: Collection[str], files: Iterable[str]) -> list[str]:
    """Those files that a pattern, or a folder, names."""
    found = _matcher(tuple(patterns))
    return [name for name in files if found(name)]


def area_of(name: str, declared: frozenset[str]) -> str:
    """The one area that a file belongs to; `declared` are the folders that hold a defs.yaml."""
    path = PurePosixPath(name)
    if path.name in {"defs.yaml", "defs.yml"}:
        return "declarations"
    if _MANIFESTS.match(name):
        return "manifests"
    if _DEPENDENCIES.match(path.name):
        return "dependencies"
    if path.suffix not in {".py", ".pyi"}:
        return "other"
    if _TEST.search(name):
        return "tests"
    return "models" if any(str(one) in declared for one in path.parents) else "python"


def by_area(files: Iterable[str]) -> dict[str, list[str]]:
    """The files of each area, sorted; areas without files are left out."""
    names = sorted(files)
    declared = frozenset(name.rpartition("/")[0] or "." for name in names if name.endswith("/defs.yaml"))
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(area_of(name, declared), []).append(name)
    return found


def area_contents(shape: CodeShape, files: Mapping[str, str]) -> dict[str, str]:
    """Area -> fingerprint of its files' names and contents, of what the declaration is about."""
    known = counted(shape, files)
    return {
        area: value_fingerprint([[name, known[name]] for name in names])[:16]
        for area, names in by_area(known).items()
    }


def tree_content(areas: Mapping[str, str]) -> str:
    """The fingerprint of all code together: the data version of `source_code`."""
    return value_fingerprint(dict(areas))


def watched(check: str, areas: Mapping[str, str]) -> dict[str, str]:
    """The areas that a check looks at; empty text for one that has no files."""
    return {area: areas.get(area, "") for area in WATCHES[check]}


def check_fingerprint(check: str, shape: CodeShape, areas: Mapping[str, str]) -> str:
    """What a check's result depends on: what it looks at, and what is declared for it."""
    return value_fingerprint([check, shape.checks[check], watched(check, areas)])[:16]


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_expression, patterns))) if patterns else None


def _matcher(patterns: tuple[str, ...]) -> Any:
    if "." in patterns:
        return lambda _: True
    compiled = _compiled(patterns)
    return (lambda name: compiled.fullmatch(name) is not None) if compiled else lambda _: False


def _expression(pattern: str) -> str:
    """`docs/**`, `*.md` (at any depth), or a folder, which stands for everything in it."""
    text = pattern.removeprefix("./").rstrip("/")
    anywhere = "" if "/" in text else "(?:.*/)?"
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    signs = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return f"{anywhere}{''.join(signs.get(part, re.escape(part)) for part in parts)}(?:/.*)?"
