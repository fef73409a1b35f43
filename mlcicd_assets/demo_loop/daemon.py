"""Dagster's daemon and its code server, as processes of their own that can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE_S = 20.0


@dataclass
class Daemon:
    """`dagster-daemon run` on a checkout; its children (code server, runs) are in its process group."""

    project: Path
    log: Path
    environment: Mapping[str, str]
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start(self) -> None:
        """Start it; it is not up yet when this returns."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "--workspace", "workspace.yaml"],
                cwd=self.project,
                env=dict(self.environment),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it as a service manager would, and whatever it leaves behind."""
        if self._process is None:
            return
        if self.alive:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):  # the group is ended below
                self._process.wait(_PATIENCE_S)
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would: daemon, code server and runs at once."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):  # nothing is left of it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_PATIENCE_S)

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return (
            "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""
        )
