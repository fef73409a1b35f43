"""The check `declarations`: every defs.yaml, each error by file, line, field, found and expected."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.ml.catalogue import KINDS, DeclarationError, check_references, load_all
from mlcicd_assets.ml.declarations import DatasetDeclaration, ModelDeclaration

if TYPE_CHECKING:
    from pydantic import BaseModel

CHECK = "declarations"
_OURS = "mlcicd_assets."
_LONGEST = 80


def check_declarations(project: Project) -> CheckResult:
    """Validate each file by itself, then what the declarations say of each other."""
    files = project.of("declarations")
    findings = [finding for name in files for finding in _of_file(project, name)]
    if not findings:
        findings = list(_together(project))
    return CheckResult(CHECK, tuple(findings), plural(len(files), "defs.yaml", "defs.yaml"))


def _of_file(project: Project, name: str) -> Iterator[Finding]:
    import yaml

    path = project.root / name
    try:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        values = list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        yield Finding(name, mark.line + 1 if mark else None, "yaml", f"not YAML: {error.problem}")
        return
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        yield Finding(name, None, "yaml", f"not YAML: {' '.join(str(error).split())}")
        return
    for node, value in zip(documents, values, strict=True):
        if value is not None:
            yield from _of_document(path, name, node, value)


def _of_document(path: Path, name: str, node: Any, value: Any) -> Iterator[Finding]:
    from pydantic import ValidationError

    kind = value.get("type") if isinstance(value, dict) else None
    declares = KINDS.get(kind) if isinstance(kind, str) else None
    if declares is None:
        # Components of others are theirs to check.
        if not isinstance(kind, str) or kind.startswith(_OURS):
            expected = ", ".join(KINDS)
            yield Finding(
                name, _line(node, ("type",)), "type", f"found {kind!r}, expected one of: {expected}"
            )
        return
    try:
        declaration = declares.model_validate(value.get("attributes") or {})
    except ValidationError as error:
        for problem in error.errors():
            yield _problem(name, node, declares, problem)
        return
    for reference in _references(declaration):
        try:
            check_references(path.parent, [reference])
        except DeclarationError as wrong:
            message = str(wrong).removeprefix(f"{path.parent / 'defs.yaml'}: ")
            yield Finding(name, _line_of(path, reference), "reference", message)


def _references(declaration: Any) -> list[str]:
    if isinstance(declaration, ModelDeclaration):
        return declaration.references
    if not isinstance(declaration, DatasetDeclaration):
        return []
    named = [declaration.contract, declaration.features, declaration.upstream, declaration.source.python]
    return [reference for reference in named if reference]


def _together(project: Project) -> Iterator[Finding]:
    try:
        load_all(project.defs)
    except DeclarationError as error:
        file, _, told = str(error).partition(": ")
        yield Finding(project.named(file), None, "together", told or str(error))


def _problem(name: str, node: Any, declares: "type[BaseModel]", problem: Any) -> Finding:
    where = tuple(problem["loc"])
    field = ".".join(str(part) for part in where) or "attributes"
    found = f"found {_short(problem['input'])}, expected: "
    expected = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        expected = f"there is no such field; {_known(declares, where)}"
    elif problem["type"] == "missing":
        found, expected = "", "missing, and it has no default"
    return Finding(name, _line(node, ("attributes", *where)), field, f"{found}{expected}"[:500])


def _known(declares: "type[BaseModel]", where: Sequence[Any]) -> str:
    """The fields there are, where the unknown one is not within another."""
    from difflib import get_close_matches

    if len(where) > 1:
        return f"see docs/declarations.md for those of {where[-2]!r}"
    near = get_close_matches(str(where[-1]), declares.model_fields, n=1)
    return f"is {near[0]!r} meant?" if near else f"there are: {', '.join(declares.model_fields)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _line(node: Any, where: Sequence[Any]) -> int | None:
    """The line of a field, or of the last thing around it that is written; from 1."""
    line = node.start_mark.line + 1
    for part in where:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return int(line)


def _child(node: Any, part: Any) -> tuple[int, Any] | None:
    entries = node.value if isinstance(node.value, list) else []
    if node.id == "mapping":
        return next(
            ((key.start_mark.line + 1, value) for key, value in entries if key.value == str(part)), None
        )
    if node.id == "sequence" and isinstance(part, int) and part < len(entries):
        return entries[part].start_mark.line + 1, entries[part]
    return None


def _line_of(path: Path, text: str) -> int | None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    return next((number for number, line in lines if text in line), None)
