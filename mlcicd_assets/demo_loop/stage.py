"""What the play is played on: a checkout, a home, Dagster's daemon, the proxy; and how it is waited for."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlcicd_assets.cli.session import Session
from mlcicd_assets.demo_loop.checkout import Checkout, check_out
from mlcicd_assets.demo_loop.daemon import Daemon

if TYPE_CHECKING:
    import dagster as dg

    from resources.protocols import KeptRequest

T = TypeVar("T")
MODEL = "fraud_detector"
_PROJECT = Path(__file__).parents[2]
PATIENCE_S = 600.0  # for a run, on a machine that is busy with other things
_POLL_S = 0.25
_COMMAND_S = 120.0
# One second instead of five between looks at the queue: the play is short.
_QUEUE = """run_coordinator:
  module: dagster
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1}
"""


class NotHappened(RuntimeError):
    """Something that the play needs did not come in time, or came otherwise."""


@dataclass
class Stage:
    """A folder with everything in it; nothing outside it is touched."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # of the processes, beside the usual ones

    @property
    def home(self) -> Path:
        """MLCICD_HOME."""
        return self.folder / "home"

    @property
    def landing(self) -> Path:
        """Where files land."""
        return self.home / "landing"

    @cached_property
    def environment(self) -> dict[str, str]:
        """Of every process of the play."""
        return self.checkout.environment(self.home, MLCICD_AUTOMATION="on", **self.variables)

    @cached_property
    def checkout(self) -> Checkout:
        """The project that is worked on; made when first asked for."""
        declarations = {name: _PROJECT / "mlcicd_assets" / "defs" / name for name in ("payments", MODEL)}
        made = check_out(_PROJECT, self.folder / "project", declarations)
        shutil.copy2(Path(__file__).with_name(f"{MODEL}.yaml"), made.defs / MODEL / "defs.yaml")
        _quicken(made.root / "dagster.yaml")
        made.commit("Weeks instead of months")
        return made

    @cached_property
    def daemon(self) -> Daemon:
        """Dagster's daemon; not started."""
        from resources import processes

        # By the mark a later play finds what was left of one that was killed.
        marked = {**self.environment, processes.MARK: str(self.folder)}
        return Daemon(self.checkout.root, self.folder / "daemon.log", marked)

    @cached_property
    def session(self) -> Session:
        """The resources of the home, as the daemon's runs see them."""
        from mlcicd_assets.ml.catalogue import load_all

        return Session(self.environment, catalogue=load_all(self.checkout.defs))

    @cached_property
    def resources(self) -> Mapping[str, Any]:
        """By the names that assets ask for."""
        from resources import build_resources

        return build_resources(self.environment)

    @cached_property
    def instance(self) -> "dg.DagsterInstance":
        """Dagster's records."""
        import dagster as dg

        return dg.DagsterInstance.from_config(str(self.home / "dagster"))

    def open(self) -> None:
        """Make the home by one process alone: several at once break a fresh SQLite home."""
        self.command("init")

    def close(self) -> None:
        """End every process of the play."""
        if "daemon" in self.__dict__:
            self.daemon.stop()
        if "instance" in self.__dict__:
            self.instance.dispose()
        if (self.home / "serving").is_dir():
            from resources import processes

            processes.end_all(self.home / "serving")

    def command(self, *arguments: str) -> str:
        """Run `mlcicd …` as a person would; returns what it printed. Raises NotHappened where it refused."""
        done = subprocess.run(
            [sys.executable, "-m", "mlcicd_assets.cli", *arguments],
            cwd=self.checkout.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise NotHappened(f"mlcicd {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout

    def wait(self, what: str, found: Callable[[], T | None], patience_s: float) -> T:
        """Poll until something is found; raises NotHappened with the state of things."""
        deadline = time.monotonic() + patience_s
        while (seen := found()) is None:
            if time.monotonic() > deadline:
                raise NotHappened(f"{what}: not seen within {patience_s:.0f} s\n{self.describe()}")
            if not self.daemon.alive:
                raise NotHappened(f"{what}: Dagster's daemon ended\n{self.daemon.last_lines()}")
            time.sleep(_POLL_S)
        return seen

    # -- what is seen ---------------------------------------------------------------------------------

    @property
    def champion(self) -> int | None:
        """The version that the ledger calls champion."""
        value = self.session.ledger.pointer(f"champion/{MODEL}")
        return None if value is None else int(value)

    def requests(self) -> "list[KeptRequest]":
        """Every request, oldest first."""
        return list(reversed(self.resources["requests"].history(10_000)))

    def runs(self) -> "list[dg.DagsterRun]":
        """Every run, oldest first."""
        return list(reversed(self.instance.get_runs()))

    def describe(self) -> str:
        """Requests, runs and the daemon's last words, for whoever has to find out."""
        asked = [
            f"request {one.id} {one.request.scope} {one.request.cause} {one.state}: {one.answer}"
            for one in self.requests()[-8:]
        ]
        runs = [
            f"run {run.run_id[:8]} {run.status.value} {sorted(run.tags.items())[:4]}"
            for run in self.runs()[-5:]
        ]
        return "\n".join([*asked, *runs, self.daemon.last_lines()])


def _quicken(settings: Path) -> None:
    """The run queue looks every second."""
    settings.write_text(settings.read_text() + "\n" + _QUEUE)
