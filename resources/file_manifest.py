"""Fingerprints of files that have not changed since they were last read, told by their size and times.

Like git's index: a file whose size, times and inode are as they were is not read again. One that was changed
within the clock's grain before it was looked at is, so that a second change in the same instant is seen.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

_GRAIN_NS = 2_000_000_000  # the coarsest times that common file systems keep


class FileManifest:
    """Kept in one JSON file; a manifest that is missing or damaged only costs time.

    `every`: saves itself after so many files were read anew, for processes that live long.
    """

    def __init__(self, path: Path, read: Callable[[Path], str], *, every: int = 0) -> None:
        self._every = every
        self._unsaved = 0
        self._path = path
        self._read = read
        self._now: dict[str, list[object]] = {}
        self._changed = False

    @cached_property
    def _before(self) -> dict[str, list[object]]:
        return _load(self._path)

    def fingerprint(self, path: Path) -> str:
        """What `read` says of the file; raises what it raises."""
        name, signed = str(path), signature(path.stat())
        known = self._now.get(name) or self._before.get(name)
        if known and known[:-1] == signed:
            self._now[name] = known
            return str(known[-1])
        found = self._read(path)
        if settled(signed, path):
            self._now[name] = [*signed, found]
            self._changed = True
            self._unsaved += 1
            if self._every and self._unsaved >= self._every:
                self._now = {**self._before, **self._now}
                self.save()
        return found

    @property
    def used(self) -> bool:
        """Whether any file was asked for."""
        return bool(self._now)

    def save(self) -> None:
        """Keep what was learned for the next time; a home that cannot be written is no reason to fail."""
        if self._changed or len(self._now) < len(self._before):
            with suppress(OSError):
                replace_file(self._path, json.dumps(self._now))
            self._changed, self._unsaved = False, 0


def signature(stat: os.stat_result) -> list[object]:
    """What differs between two states of a file, without reading it."""
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def settled(signed: list[object], path: Path) -> bool:
    """Whether the file stood still while it was read, and was not changed a moment before."""
    import time

    newest = max(int(str(signed[1])), int(str(signed[2])))
    return signature(path.stat()) == signed and time.time_ns() - newest > _GRAIN_NS


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.replace(path)


def _load(path: Path) -> dict[str, list[object]]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):  # none yet, or damaged: the files are read
        return {}
    return found if isinstance(found, dict) else {}
