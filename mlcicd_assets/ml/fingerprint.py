"""Content hashes of code and declarations: what counts changes them, comments and formatting do not."""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


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
    """Hex SHA-256 of Python source without comments, docstrings, positions or formatting."""
    return syntax_fingerprint([parse(source, file)])


def parse(source: str, file: str) -> ast.Module:
    """The syntax tree without docstrings; raises FingerprintError naming file and line."""
    try:
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or "?"
        raise FingerprintError(f"{file}, line {line}: syntax error: {error}; correct that line") from error
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and node.body and is_text(node.body[0]):
            del node.body[0]
    return tree


def is_text(statement: ast.stmt) -> bool:
    """Whether a statement is only a string: a docstring, or a comment in disguise."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def syntax_fingerprint(nodes: Iterable[ast.AST]) -> str:
    """Hex SHA-256 of syntax; what is empty is left out, since Python versions differ in it."""
    return hashlib.sha256("".join(_written(node) for node in nodes).encode()).hexdigest()


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    fields = ((name, getattr(value, name, None)) for name in value._fields)
    shown = (f"{name}={_written(found)}" for name, found in fields if found is not None and found != [])
    return f"{type(value).__name__}({','.join(shown)})"


def value_fingerprint(value: Any) -> str:
    """Hex SHA-256 of a JSON-like value (a declaration's subset), whatever the order of its keys."""
    return hashlib.sha256(_canonical(value)).hexdigest()


def combine(parts: Iterable[str]) -> str:
    """One hex SHA-256 of several fingerprints, in the order given."""
    return hashlib.sha256(_canonical(list(parts))).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
