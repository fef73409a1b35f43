"""Fingerprints of the framework's own code, kept beside its bytecode: working them out takes seconds."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Fingerprints = dict[str, dict[str, str]]


def kept(package: Path, make: Callable[[], Fingerprints]) -> Fingerprints:
    """What `make` gives for the package's files as they are; made anew when any of them has changed.

    Kept in the package's `__pycache__`, by the files' sizes and times as Python keeps bytecode; a folder that
    cannot be written, or that Python may not write to, only costs time.
    """
    place = package / "__pycache__" / f"fingerprints.{sys.implementation.cache_tag}.json"
    state = _state(package)
    with suppress(OSError, ValueError, KeyError, TypeError):  # none yet, or damaged
        found = json.loads(place.read_text())
        if found["files"] == state:
            made: Fingerprints = found["fingerprints"]
            return made
    made = make()
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            _write(place, json.dumps({"files": state, "fingerprints": made}))
    return made


def _state(package: Path) -> dict[str, list[int]]:
    found = {}
    for path in sorted(package.rglob("*.py")):
        about = path.stat()
        found[path.relative_to(package).as_posix()] = [about.st_mtime_ns, about.st_size]
    return found


def _write(place: Path, text: str) -> None:
    place.parent.mkdir(exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(scratch).replace(place)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
