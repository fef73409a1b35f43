"""A whole installation: a checkout in git, a home, and Dagster's daemon in processes that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import httpx

from mlcicd_assets.cli.session import Session
from mlcicd_assets.demo_loop.checkout import Checkout, check_out
from mlcicd_assets.demo_loop.daemon import Daemon
from mlcicd_assets.ml.catalogue import load_all
from resources import build_resources, processes
from resources.protocols import KeptRequest
from tests.fakes.hooks import github
from tests.fakes.projects import Project, write_project

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
SECRET = "a-secret-of-the-tests-0123456789"
ENDED = {"done", "failed", "merged", "refused"}
_PATIENCE_S = 600.0  # the machine of the tests is busy with other tests


@dataclass
class Installation:
    """The small project of `projects`, with every trigger switched on."""

    folder: Path
    project: Project
    checkout: Checkout
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, folder: Path, edits: Sequence[tuple[str, str, str]] = ()) -> "Installation":
        """Write the project, make the home by one process alone: several at once break a fresh one."""
        project = write_project(folder / "declared", folder / "home")
        for file, old, new in edits:
            project.edit(file, old, new)
        named = {path.name: path for path in project.defs.iterdir()}
        made = cls(folder, project, check_out(ROOT, folder / "project", named))
        made.command("init")
        return made

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @cached_property
    def environment(self) -> dict[str, str]:
        return self.checkout.environment(self.home, MLCICD_AUTOMATION="on", MLCICD_HOOK_SECRET=SECRET)

    @cached_property
    def daemon(self) -> Daemon:
        return Daemon(self.checkout.root, self.folder / "daemon.log", self.environment)

    @cached_property
    def session(self) -> Session:
        return Session(self.environment, catalogue=load_all(self.checkout.defs))

    @cached_property
    def resources(self) -> dict[str, Any]:
        return build_resources(self.environment)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home / "dagster"))

    def close(self) -> None:
        """End everything that was started here."""
        self.daemon.stop()
        processes.end_all(self.home / "serving")

    def command(self, *arguments: str) -> str:
        """`mlcicd …`, as somebody types it."""
        done = subprocess.run(
            [sys.executable, "-m", "mlcicd_assets.cli", *arguments],
            cwd=self.checkout.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # -- what is seen -----------------------------------------------------------------------------------

    def requests(self) -> list[KeptRequest]:
        """Oldest first."""
        return list(reversed(self.resources["requests"].history(100_000)))

    def newest(self) -> int:
        """The number of the newest request."""
        return max((one.id for one in self.requests()), default=0)

    def runs(self) -> list[dg.DagsterRun]:
        """Those that requests were answered by, oldest first."""
        found = reversed(self.instance.get_runs())
        return [run for run in found if "mlcicd/request" in run.tags]

    def champion(self) -> int | None:
        value = self.session.ledger.pointer("champion/returns")
        return None if value is None else int(value)

    def wait(self, what: str, found: Callable[[], T | None], patience_s: float = _PATIENCE_S) -> T:
        """Poll until it is seen."""
        deadline = time.monotonic() + patience_s
        while (seen := found()) is None:
            assert time.monotonic() < deadline, f"{what}: not seen\n{self.describe()}"
            time.sleep(0.2)
        return seen

    def answered(self, cause: str, after: int, scope: str) -> KeptRequest:
        """The first request of a cause since then, once it has ended."""
        return self.wait(f"the end of a request: {scope} {cause}", lambda: self._ended(cause, after, scope))

    def _ended(self, cause: str, after: int, scope: str) -> KeptRequest | None:
        # One that joined another ends at once; the other tells how it went.
        known = [one for one in self.requests() if one.id > after and one.state != "merged"]
        mine = [one for one in known if one.request.scope == scope]
        return next((one for one in mine if one.request.cause == cause and one.state in ENDED), None)

    def describe(self) -> str:
        asked = [
            f"{one.id} {one.request.scope} {one.request.cause} {one.state}: {one.answer}"
            for one in self.requests()
        ]
        runs = [
            f"{run.run_id[:8]} {run.status.value} {run.tags.get('mlcicd/request')}" for run in self.runs()
        ]
        return "\n".join([*asked[-20:], *runs, self.daemon.last_lines(30)])

    # -- webhooks ---------------------------------------------------------------------------------------

    @contextmanager
    def hooks(self) -> Iterator[str]:
        """`mlcicd hooks serve` in a process of its own; its address."""
        process = subprocess.Popen(
            [sys.executable, "-m", "mlcicd_assets.cli", "hooks", "serve", "--port", "0"],
            cwd=self.checkout.root,
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1].removesuffix("/hooks/git")
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(20)


def push(address: str, commit: str, delivery: str) -> int:
    """A push as GitHub tells of it; the status of the answer."""
    said = {"ref": "refs/heads/main", "after": commit, "repository": {"full_name": "shop/returns"}}
    body = json.dumps(said).encode()
    headers = {**github(body, SECRET), "content-type": "application/json", "X-GitHub-Delivery": delivery}
    return httpx.post(f"{address}/hooks/git", content=body, headers=headers, timeout=10).status_code
