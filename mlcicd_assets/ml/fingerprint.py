"""Content hashes of code and declarations: what counts changes them, comments and formatting do not."""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlcicd_assets.ml.package import canonical


class FingerprintError(ValueError):
    """Code that cannot be read or parsed; names file, line and remedy."""


def python_fingerprint(path: Path) -> str:
    """Hex SHA-256 of a Python file's syntax tree; raises FingerprintError when it is missing or malformed."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FingerprintError(
            f"{path}: cannot be read ({error}); create the file or correct the name"
        ) from error
    return source_fingerprint(source, str(path))


def source_fingerprint(source: str, file: str = "<source>") -> str:
    """Hex SHA-256 of Python source without comments, docstrings, annotations of position, or formatting."""
    try:
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or "?"
        raise FingerprintError(f"{file}, line {line}: syntax error: {error}; correct that line") from error
    for node in ast.walk(tree):
        _drop_docstring(node)
    return hashlib.sha256(ast.dump(tree, annotate_fields=False).encode()).hexdigest()


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        del node.body[0]


def value_fingerprint(value: Any) -> str:
    """Hex SHA-256 of a JSON-like value (a declaration's subset), whatever the order of its keys."""
    return hashlib.sha256(canonical(value)).hexdigest()


def combine(parts: Iterable[str]) -> str:
    """One hex SHA-256 of several fingerprints, in the order given."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()
