"""A worker in a process of its own, which stops at each moment of a rollout until it is told to go on.

It is forked from a server that has imported everything, so that it starts at once and can be killed.
"""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from mlcicd_assets.release.envelope import Refused
from resources.protocols import ResourceError
from tests.fakes.sites import Site

Does = Literal["release", "rollback", "go on"]
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "mlcicd_assets.assets.lifecycle"])
_PATIENCE_S = 90.0
REFUSED = "refused: "  # begins its last moment where it was


@dataclass
class Worker:
    """The test's end: moments arrive in order, and none is lost."""

    process: Any
    connection: Connection

    def moment(self) -> str | None:
        """The next moment, at which it now waits; None when it has ended."""
        assert self.connection.poll(_PATIENCE_S), "the worker came to no further moment"
        try:
            return str(self.connection.recv())
        except EOFError:
            self.process.join(_PATIENCE_S)
            return None

    def go_on(self) -> None:
        """Let it do what comes next."""
        self.connection.send("go on")

    def finish(self) -> int:
        """Let it go to its end; returns its exit code."""
        self.go_on()
        while (name := self.moment()) is not None:
            if not name.startswith(REFUSED):
                self.go_on()
        return int(self.process.exitcode)

    def kill(self) -> None:
        """As `kill -9` does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join(_PATIENCE_S)


def start(
    folder: Path, does: Does, version: int | None, declared: Mapping[str, Any], *, stand_ins: bool = True
) -> Worker:
    """Release a version, roll back, or go on with what was begun."""
    mine, its = _FORKS.Pipe()
    arguments = (folder, does, version, declared, stand_ins, its)
    process = _FORKS.Process(target=_work, args=arguments, daemon=True)
    process.start()
    its.close()
    return Worker(process, mine)


def _work(
    folder: Path,
    does: Does,
    version: int | None,
    declared: Mapping[str, Any],
    stand_ins: bool,
    tell: Connection,
) -> None:
    def stop(moment: str) -> None:
        tell.send(moment)
        tell.recv()

    site = Site(folder, stand_ins=stand_ins)
    rollouts = site.rollouts(stop, **declared)
    try:
        if does == "release" and version is not None:
            rollouts = site.begin(version, stop, **declared)
        elif does == "rollback":
            ask_rollback(rollouts, version, by="ada", reason="complaints")
        rollouts.run(patience_s=_PATIENCE_S)
    except (Refused, ResourceError) as error:
        tell.send(f"{REFUSED}{error}")
        raise SystemExit(1) from error
