"""Where the project's own imports lead: to files beside the importing one, or of the package around it."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlcicd_assets.ml.code.code_module import Module, read_module

Import = ast.Import | ast.ImportFrom


@dataclass
class Imports:
    """Reads each file, and looks for each import, once."""

    modules: dict[Path, Module] = field(default_factory=dict)
    found: dict[tuple[Path, tuple[str, ...], int], Path | None] = field(default_factory=dict)
    tables: set[Path] = field(default_factory=set)  # files that are no code, read by their names

    def read(self, path: Path) -> Module:
        """The file, taken apart; raises FingerprintError."""
        if path not in self.modules:
            self.modules[path] = read_module(path)
        return self.modules[path]

    def find(self, path: Path, dotted: Sequence[str], level: int) -> Path | None:
        """The project's file of a dotted name in the file at `path`; None for a library's."""
        key = (path.parent, tuple(dotted), level)
        if key not in self.found:
            self.found[key] = _find(*key)
        return self.found[key]

    def star(self, path: Path, statement: ast.ImportFrom) -> Path | None:
        """The file whose every name `from file import *` brings."""
        return self.find(path, _dotted(statement.module), statement.level)

    def target(self, path: Path, statement: Import, bound: str) -> tuple[Path, str] | None:
        """The file, and the member of it ("" for the module itself), that an import binds to a name."""
        if isinstance(statement, ast.Import):
            return self._module(path, statement, bound)
        member = next((a.name for a in statement.names if (a.asname or a.name) == bound), "*")
        if member == "*":
            return None
        package = self.find(path, _dotted(statement.module), statement.level)
        own = package and (package.name != "__init__.py" or member in self.read(package).binding)
        below = None if own else self.find(path, [*_dotted(statement.module), member], statement.level)
        if below:
            return below, ""
        return (package, member) if package else None

    def _module(self, path: Path, statement: ast.Import, bound: str) -> tuple[Path, str] | None:
        for alias in statement.names:
            dotted = alias.name.split(".")
            if (alias.asname or dotted[0]) == bound:
                file = self.find(path, dotted if alias.asname else dotted[:1], 0)
                return (file, "") if file else None
        return None


def top_of(folder: Path) -> Path:
    """The folder that holds the outermost package around `folder`."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _find(folder: Path, dotted: tuple[str, ...], level: int) -> Path | None:
    if level:
        return _file(folder if level == 1 else folder.parents[level - 2], dotted)
    return (_file(folder, dotted) or _file(top_of(folder), dotted)) if dotted else None


def _file(base: Path, dotted: tuple[str, ...]) -> Path | None:
    place = base.joinpath(*dotted)
    candidates = ([place.with_name(f"{place.name}.py")] if dotted else []) + [place / "__init__.py"]
    return next((file for file in candidates if file.is_file()), None)


def _dotted(module: str | None) -> list[str]:
    return module.split(".") if module else []
