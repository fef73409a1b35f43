"""One Python file, taken apart without running it: what binds a name, what may change it, what only acts."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mlcicd_assets.ml.fingerprint import FingerprintError, is_text, parse

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.Match)
_ACTIONS = (ast.Expr, ast.Delete, ast.Assert, ast.Raise)


@dataclass(frozen=True)
class Module:
    """The top-level statements of one file, docstrings and `if __name__ == "__main__"` left out."""

    path: Path
    body: list[ast.stmt]
    binding: dict[str, list[ast.stmt]] = field(default_factory=dict)  # name -> what gives it its value
    touching: dict[str, list[ast.stmt]] = field(default_factory=dict)  # name -> what may change that value
    acting: list[ast.stmt] = field(default_factory=list)  # what has an effect whichever name is used

    def statements(self, name: str) -> list[ast.stmt]:
        """Everything that decides what a name stands for, in the file's order; empty for an unknown name."""
        found = [*self.binding.get(name, []), *self.touching.get(name, [])]
        return [statement for statement in self.body if statement in found]


def read_module(path: Path) -> Module:
    """Parse a file; raises FingerprintError naming file, line and remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FingerprintError(
            f"{path}: cannot be read ({error}); create the file or correct the name"
        ) from error
    return _take_apart(path, text)


@lru_cache(maxsize=512)
def _take_apart(path: Path, text: str) -> Module:
    tree = parse(text, str(path))
    body = [found for found in tree.body if not is_text(found) and not _is_main(found)]
    module = Module(path, body)
    functions = {found.name for found in body if isinstance(found, _DEFINITIONS)}
    for statement in body:
        names = _bound(statement)
        for name in names:
            module.binding.setdefault(name, []).append(statement)
        for name in _touched(statement, functions) - names:
            module.touching.setdefault(name, []).append(statement)
        if _acts(statement, names):
            module.acting.append(statement)
    return module


def _is_main(statement: ast.stmt) -> bool:
    test = statement.test if isinstance(statement, ast.If) else None
    left = test.left if isinstance(test, ast.Compare) else None
    return isinstance(left, ast.Name) and left.id == "__name__"


def on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not the bodies of functions."""
    yield node
    if isinstance(node, ast.Lambda):
        return
    skipped: list[ast.stmt] = node.body if isinstance(node, _FUNCTIONS) else []
    for child in ast.iter_child_nodes(node):
        if child not in skipped:  # by identity: nodes do not compare
            yield from on_import(child)


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    names: set[str] = set()
    for node in on_import(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, _DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return names


def _acts(statement: ast.stmt, names: set[str]) -> bool:
    if isinstance(statement, ast.ImportFrom) and "*" in names:
        return True
    if isinstance(statement, _BLOCKS):
        return any(isinstance(node, _ACTIONS) for node in on_import(statement))
    # `library.option = 1` changes what everybody sees.
    sets = isinstance(statement, ast.Assign) and any(isinstance(t, ast.Attribute) for t in statement.targets)
    return sets or isinstance(statement, _ACTIONS)


def _touched(statement: ast.stmt, functions: set[str]) -> set[str]:
    """Names whose value the statement may change: by a method, an item, a decorator, a subclass, `global`.

    An argument counts where the file's own function gets it; a library's function, called for its value, is
    trusted not to change what it is given (called for its effect, it is a statement of its own that acts).
    """
    touched = {name for node in ast.walk(statement) for name in _changed(node)}
    for node in on_import(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            touched.add(node.id)
        elif isinstance(node, ast.Call):
            touched |= _called(node, functions)
        elif isinstance(node, _DEFINITIONS):
            bases = node.bases if isinstance(node, ast.ClassDef) else []
            touched |= {name for one in [*node.decorator_list, *bases] for name in _roots(one)}
    return touched


def _changed(node: ast.AST) -> set[str]:
    """What a node changes, within a function as well: it may be called while the module is imported."""
    if isinstance(node, ast.Global):
        return set(node.names)
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return _roots(node)
    return _roots(node.value) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else set()


def _called(call: ast.Call, functions: set[str]) -> set[str]:
    if isinstance(call.func, ast.Attribute):
        return _roots(call.func)
    if isinstance(call.func, ast.Name) and call.func.id in functions:
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        given = {node.id for value in values for node in ast.walk(value) if isinstance(node, ast.Name)}
        return {call.func.id, *given}
    return set()


def _roots(node: ast.AST) -> set[str]:
    """`a` of `a.b[0].c(d)`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()
