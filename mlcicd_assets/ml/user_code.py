"""Loading one function from a user's Python file, with errors a person can act on."""

import hashlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

# What the extra `torch` installs.
_TORCH = {"torch", "skorch", "onnxscript"}


class UserCodeError(ValueError):
    """A user's file that cannot be used; names file, line and remedy."""


def load_object(path: Path, name: str) -> Any:
    """Return the object `name` of the Python file at `path`.

    The file is executed once per content, as a module of its own name: nothing on `sys.path` can shadow it.
    Raises UserCodeError when the file is missing, has a syntax error, raises on import, or lacks the name.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserCodeError(
            f"{path}: cannot be read ({error.strerror}); create the file or correct the reference"
        ) from error
    return load_source(source, str(path), name)


def load_function(path: Path, name: str) -> Callable[..., Any]:
    """Return the function `name` of the Python file at `path`; raises UserCodeError."""
    return _callable(load_object(path, name), str(path), name)


def load_function_from(source: bytes, file: str, name: str) -> Callable[..., Any]:
    """Return the function `name` of source code already in memory; `file` names it in errors."""
    return _callable(load_source(source, file, name), file, name)


def load_source(source: bytes, file: str, name: str) -> Any:
    """Return the object `name` of source code already in memory; `file` names it in errors."""
    module = _module(source, file)
    try:
        return getattr(module, name)
    except AttributeError:
        names = sorted(found for found, value in vars(module).items() if _own(found, value, module))
        offered = f"it has {', '.join(names)}" if names else "it defines nothing"
        raise UserCodeError(
            f"{file}: there is no {name!r} ({offered}); define it or correct the reference"
        ) from None


def _callable(value: Any, file: str, name: str) -> Callable[..., Any]:
    if not callable(value):
        raise UserCodeError(
            f"{file}: {name!r} is a {type(value).__name__}, not a function; write 'def {name}(…)'"
        )
    function: Callable[..., Any] = value
    return function


def _own(name: str, value: object, module: ModuleType) -> bool:
    return not name.startswith("_") and getattr(value, "__module__", None) == module.__name__


def _module(source: bytes, file: str) -> ModuleType:
    identity = hashlib.sha256(file.encode() + b"\0" + source).hexdigest()[:20]
    name = f"mlcicd_user_code_{identity}"
    if name in sys.modules:
        return sys.modules[name]
    code = _compile(source, file)
    module = ModuleType(name)
    module.__file__ = file
    # Registered while it runs: dataclasses and pandera resolve annotations through sys.modules.
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the user's own code is this module's purpose
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UserCodeError(
            f"{file}, line {_line(error, file)}: raised {type(error).__name__} on import: {error}; "
            f"{_remedy(error, file)}"
        ) from error
    return module


def _compile(source: bytes, file: str) -> CodeType:
    try:
        return compile(source, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise UserCodeError(
            f"{file}, line {error.lineno or '?'}: syntax error: {error.msg}: {text!r}; correct that line"
        ) from error
    except ValueError as error:  # null bytes
        raise UserCodeError(f"{file}: is not Python source ({error}); restore the file") from error


def _remedy(error: BaseException, file: str) -> str:
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in _TORCH:
        return "networks need an optional part: pip install 'mlcicd-assets[torch]'"
    return f"correct that line, then check with 'python {file}'"


def _line(error: BaseException, file: str) -> int | str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines and lines[-1] else "?"
