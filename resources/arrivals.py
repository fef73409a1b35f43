"""A landing folder as sensors see it: files that are still being written are waited for."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources import landing_remote
from resources.arrival import Arrived, Unfinished
from resources.file_manifest import signature
from resources.landing import LandingFolder
from resources.protocols import LandedFile
from resources.wholeness import unfinished

if TYPE_CHECKING:
    import polars as pl

QUIET_S = 2.0
_REMOTE_S = 60.0
# Names that programs give to what they have not finished; dotfiles and _files are left out everywhere.
_TEMPORARY = re.compile(r"\.(tmp|temp|part|partial|crdownload|swp|filepart)$|~$", re.IGNORECASE)
_MOVING = "it was changed a moment ago"


@dataclass(frozen=True)
class _Waiting:
    """When a file was first seen unfinished, and since when it stands as it is now."""

    signed: tuple[Any, ...]
    since: float
    still: float


@dataclass
class WholeFiles:
    """Implements `Arrivals`. A file counts when it has stood still for two seconds and looks whole.

    Memory of what waits is this process's own: a new process only looks a little longer. Objects with a
    checksum of the store appear whole or not at all.
    """

    folder: LandingFolder  # with fingerprints of unchanged files from a manifest
    clock: Callable[[], float] = time.time
    remote_s: float = _REMOTE_S
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _whole: dict[str, tuple[tuple[Any, ...], str]] = field(
        default_factory=dict
    )  # name -> signed, fingerprint
    _listed: dict[str, tuple[float, Arrived]] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The home that templates are relative to."""
        return self.folder.root

    def find(self, template: str, partition: str | None) -> LandedFile:
        """A file, whole or not; objects as they were listed."""
        if landing_remote.is_remote(template):
            found = self.look(template).whole.get(partition)
            if found is not None:
                uri = template.replace("{partition}", partition or "")
                return LandedFile(Path(uri.rpartition("/")[2]), found, uri)
        return self.folder.find(template, partition)

    def partitions(self, template: str) -> list[str]:
        """The partition keys whose files are whole, sorted."""
        return sorted(key for key in self.look(template).whole if key is not None)

    def read(self, landed: LandedFile) -> "pl.DataFrame":
        """Read by suffix."""
        return self.folder.read(landed)

    def look(self, template: str, *, fresh: bool = False) -> Arrived:
        """What is there, whole or not."""
        if not landing_remote.is_remote(template):
            return self._local(template)
        before = self._listed.get(template)
        if before is not None and not fresh and 0 <= self.clock() - before[0] < self.remote_s:
            return before[1]
        found = self._remote(template)
        self._listed[template] = (self.clock(), found)
        return found

    def _local(self, template: str) -> Arrived:
        keys: list[str | None] = [*self.folder.partitions(template)] if "{partition}" in template else [None]
        whole: dict[str | None, str] = {}
        waiting: dict[str | None, Unfinished] = {}
        for key in keys:
            if _TEMPORARY.search(key or ""):
                continue
            path = self.root / template.replace("{partition}", key or "")
            try:
                problem = self._problem_of(path)
            except FileNotFoundError:
                continue  # nothing has landed, or it went away while it was looked at
            except OSError as error:
                problem = f"it cannot be read ({error.strerror})"
            if problem:
                waiting[key] = self._wait(str(path), problem)
            else:
                whole[key] = self._whole[str(path)][1]
        return Arrived(whole, waiting)

    def _problem_of(self, path: Path) -> str:
        """Why a file does not count yet; empty when its fingerprint is known."""
        name, stat = str(path), path.stat()
        signed = tuple(signature(stat))
        if self._whole.get(name, ((), ""))[0] == signed:
            return ""
        if not self._quiet(name, signed, max(stat.st_ctime, stat.st_mtime)):
            return _MOVING
        with path.open("rb") as file:
            problem = unfinished(file, path.suffix)
        if problem:
            return problem
        fingerprint = self.folder.fingerprint(path)
        if tuple(signature(path.stat())) != signed:
            return _MOVING
        self._finish(name, signed, fingerprint)
        return ""

    def _remote(self, template: str) -> Arrived:
        whole: dict[str | None, str] = {}
        waiting: dict[str | None, Unfinished] = {}
        for key, one in landing_remote.listing(template):
            if _TEMPORARY.search(key or ""):
                continue
            name = template.replace("{partition}", key or "")
            if one.fingerprint:
                whole[key] = one.fingerprint
                continue
            problem = self._remote_problem(name, one)
            if problem:
                waiting[key] = self._wait(name, problem)
            else:
                whole[key] = self._whole[name][1]
        return Arrived(whole, waiting)

    def _remote_problem(self, name: str, one: landing_remote.Listed) -> str:
        if self._whole.get(name, ((), ""))[0] == one.signed:
            return ""
        if not self._quiet(name, one.signed, one.modified):
            return _MOVING
        with closing(one.open()) as file:
            problem = unfinished(file, Path(name).suffix)
        if not problem:
            self._finish(name, one.signed, one.content())
        return problem

    def _quiet(self, name: str, signed: tuple[Any, ...], changed: float | None) -> bool:
        """By its own times where the clocks agree; else by how it stood when it was looked at before."""
        now, before = self.clock(), self._waiting.get(name)
        same = before is not None and before.signed == signed
        still = before.still if before and same else now
        self._waiting[name] = _Waiting(signed, before.since if before else now, still)
        aged = changed is not None and now - changed >= QUIET_S
        return aged or now - still >= QUIET_S

    def _finish(self, name: str, signed: tuple[Any, ...], fingerprint: str) -> None:
        self._waiting.pop(name, None)
        self._whole[name] = (signed, fingerprint)

    def _wait(self, name: str, problem: str) -> Unfinished:
        known = self._waiting.setdefault(name, _Waiting((), self.clock(), self.clock()))
        return Unfinished(name, problem, max(0.0, self.clock() - known.since))
