"""The code that a function really uses: its own file and the project's files that it imports, name by name.

Nothing is executed. Names are followed from the function through constants, classes, decorators, annotations,
methods that change a constant, and imports of files beside it or of the same package; libraries are pinned
elsewhere. What only running could resolve (`globals()`, `eval`, a module passed around whole) counts as the
whole file. More than is used may be counted, less is not.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from mlcicd_assets.ml.code.code_imports import Import, Imports, top_of
from mlcicd_assets.ml.code.code_module import Module
from mlcicd_assets.ml.fingerprint import syntax_fingerprint

# Whoever names these may reach anything by a string that only running would tell.
_DYNAMIC = frozenset({"globals", "locals", "vars", "eval", "exec", "compile", "__import__", "importlib"})
_EFFECTS = "<on import>"
_TYPE_TEXT = re.compile(r"[\w.]+(\s*[|\[].*)?", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")
_LONGEST_NAME = 255

Chain = tuple[str, ...]  # a.b.c as it is written
_REACHED: ContextVar[set[Path] | None] = ContextVar("reached", default=None)


@contextmanager
def reading() -> Iterator[set[Path]]:
    """Collects every file that is read while code is followed within the block."""
    reached: set[Path] = set()
    token = _REACHED.set(reached)
    try:
        yield reached
    finally:
        _REACHED.reset(token)


def used_code(
    references: Iterable[tuple[Path, str]], *, stop: frozenset[Path] = frozenset(), base: Path | None = None
) -> dict[str, str]:
    """The fingerprint of each definition that the named objects of files need, by file and name.

    "flights/features.py:features" -> hex: files are named from above their folder, or from `base`. Files
    in `stop` are not followed: they count in another way. Raises FingerprintError where a file that is
    reached is missing or malformed.
    """
    parts: dict[str, str] = {}
    imports = Imports()
    for path, name in references:
        walk = _Walk(path.parent, stop, imports, base or path.parent.parent)
        walk.effects(path)
        if not walk.name(path, name):
            walk.whole(path)
        parts |= walk.parts
    reached = _REACHED.get()
    if reached is not None:
        reached |= {*imports.modules, *imports.tables}
    return dict(sorted(parts.items()))


@dataclass
class _Walk:
    folder: Path
    stop: frozenset[Path]
    imports: Imports
    base: Path  # files are named from here
    parts: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[Path, str]] = field(default_factory=set)

    def name(self, path: Path, name: str) -> bool:
        """Count what a name of a file stands for; False where the file does not bind it."""
        if (path, name) in self.seen:
            return True
        module = self.imports.read(path)
        if name not in module.binding:
            return self._on_demand(module, name)
        self.seen.add((path, name))
        found = self._deciding(module, name)
        self.parts[f"{self._label(path)}:{name}"] = syntax_fingerprint(found)
        for statement in found:
            if isinstance(statement, Import):
                self._import(path, statement, name)
            else:
                self._follow(module, statement)
            if isinstance(statement, ast.FunctionDef | ast.ClassDef):
                self.name(path, statement.name)  # it changes the name: whoever calls it does, too
        return True

    def whole(self, path: Path) -> None:
        """Count a file as it is, and everything that it uses."""
        if path in self.stop or (path, "") in self.seen:
            return
        self.seen.add((path, ""))
        module = self.imports.read(path)
        self.parts[self._label(path)] = syntax_fingerprint(module.body)
        for name in module.binding:
            self.name(path, name)
        self.effects(path)

    def effects(self, path: Path) -> None:
        """Count what happens when a file is imported, whichever of its names is wanted."""
        if (path, _EFFECTS) in self.seen:
            return
        self.seen.add((path, _EFFECTS))
        module = self.imports.read(path)
        if module.acting:
            self.parts[f"{self._label(path)}:{_EFFECTS}"] = syntax_fingerprint(module.acting)
        for statement in module.acting:
            self._follow(module, statement)
        folder = path.parent.parent if path.name == "__init__.py" else path.parent
        package = folder / "__init__.py"
        if package.is_file():
            self.effects(package)

    def _deciding(self, module: Module, name: str) -> list[ast.stmt]:
        """What gives a name its value and what may change it; a library is not changed by being used."""
        binding = module.binding[name]
        foreign = all(
            isinstance(found, Import) and not self.imports.target(module.path, found, name)
            for found in binding
        )
        return binding if foreign else module.statements(name)

    def _on_demand(self, module: Module, name: str) -> bool:
        """A name from `import *`, or one that a module's own `__getattr__` makes."""
        for statement in module.acting:
            if isinstance(statement, ast.ImportFrom):
                file = self.imports.star(module.path, statement)
                if file and file not in self.stop and self.name(file, name):
                    return True
        asked = name != "__getattr__" and "__getattr__" in module.binding
        return asked and self.name(module.path, "__getattr__")

    def _follow(self, module: Module, statement: ast.AST) -> None:
        chains = set(_chains(statement))
        if any(chain[0] in _DYNAMIC for chain in chains):
            self.whole(module.path)
        for chain in chains:
            self._chain(module, chain)
        for node in ast.walk(statement):
            if isinstance(node, Import):
                self._import(module.path, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._text(module, node.value)

    def _chain(self, module: Module, chain: Chain) -> None:
        """`a.b.c`: the name `a`, and where that is a module of the project, its member `b`."""
        self.name(module.path, chain[0])
        for statement in module.binding.get(chain[0], []):
            if isinstance(statement, Import):
                target = self.imports.target(module.path, statement, chain[0])
                if target and not target[1]:
                    self._member(target[0], chain[1:])

    def _member(self, file: Path, rest: Chain) -> None:
        if file in self.stop:
            return
        self.effects(file)
        below = self.imports.find(file, rest[:1], 1) if rest and file.name == "__init__.py" else None
        if below:
            self._member(below, rest[1:])
        elif not rest or not self.name(file, rest[0]):
            self.whole(file)

    def _import(self, path: Path, statement: Import, only: str = "") -> None:
        """Count what an import brings: a member by its name; a module by what is used of it."""
        if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            file = self.imports.star(path, statement)
            if file and file not in self.stop:
                self.effects(file)
        for alias in statement.names:
            bound = alias.asname or alias.name.split(".")[0]
            target = None if only and bound != only else self.imports.target(path, statement, bound)
            if target and target[0] not in self.stop:
                self._bring(*target, followed=bool(only))

    def _bring(self, file: Path, member: str, *, followed: bool) -> None:
        self.effects(file)
        # A module imported within a function: its uses are by a name that the file does not have.
        unnamed = not member and not followed
        if unnamed or (member and not self.name(file, member)):
            self.whole(file)

    def _text(self, module: Module, text: str) -> None:
        """A string may be a type that is not defined yet, or the name of a file that the code reads."""
        if not text or len(text) > _LONGEST_NAME:
            return
        if _TYPE_TEXT.fullmatch(text):
            for word in _WORD.findall(text):
                if word in module.binding:
                    self.name(module.path, word)
        if "." in text and "\0" not in text and not text.endswith(".py"):
            file = module.path.parent / text
            if file.is_file():
                self.imports.tables.add(file)
                self.parts[self._label(file)] = hashlib.sha256(file.read_bytes()).hexdigest()

    def _label(self, path: Path) -> str:
        for base in (self.base, top_of(self.folder)):
            if path.is_relative_to(base):
                return path.relative_to(base).as_posix()
        return path.name


def _chains(node: ast.AST) -> Iterator[Chain]:
    """Every name with its attributes, the longest only: `a.b.c(d)` gives a.b.c and d."""
    names: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        names.insert(0, inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *names)
        return
    for child in ast.iter_child_nodes(inner):
        yield from _chains(child)
