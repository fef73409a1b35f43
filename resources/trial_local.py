"""One candidate's server, started to be measured: a child of this process that ends with it."""

import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.protocols import Limits, TrialEnded
from resources.supervisor import server_environment

_ENDS_WITHIN_S = 5.0
_READY = "ready: "


class LocalTrial:
    """A `Trial`. It is no program of the supervisor and no cluster of the proxy: neither knows of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, token: str) -> None:
        self._process = process
        self._log = log
        self.headers: Mapping[str, str] = {"authorization": f"Bearer {token}"}
        self.address = ""
        self.cold_start_s = 0.0
        self._kept: list[str] = []  # its words, when the log is gone with the trial

    def tell(self, token: str) -> None:
        """Hand over the token, by its standard input: neither arguments nor environment show it to others."""
        try:
            assert self._process.stdin is not None  # noqa: S101  opened by `_start`
            self._process.stdin.write(f"{token}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # it has ended already; waiting for it says why

    def await_ready(self, started: float, patience_s: float) -> None:
        """Wait until it says that it is ready, and where; raises TrialEnded with its own last words."""
        while time.monotonic() - started < patience_s:
            ready = next((line for line in self._lines() if line.startswith(_READY)), None)
            if ready is not None:
                self.cold_start_s = time.monotonic() - started
                self.address = ready.rsplit(" ", 1)[-1]
                return
            if said := self.ended():
                raise TrialEnded(f"the model server did not start: {said}")
            time.sleep(0.005)
        words = "; ".join(self._lines()[-1:]) or "it said nothing"
        raise TrialEnded(f"the model server was not ready within {patience_s:g} s: {words}")

    def peak_memory_mb(self) -> float:
        """The most that it has had resident, in 10^6 bytes; raises TrialEnded when it runs no more."""
        if said := self.ended():
            raise TrialEnded(f"the model server ended: {said}")
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError as error:
            raise TrialEnded(f"the model server ended: {self.ended() or error.strerror}") from error
        kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(kibibytes) * 1024 / 1e6

    def ended(self) -> str:
        """Why it ended, in its own last words; empty while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        words = "; ".join(self._lines()[-1:])
        if code < 0:
            ended_by = signal.Signals(-code).name
            hint = ", as the kernel does when memory runs out" if ended_by == "SIGKILL" else ""
            return f"by {ended_by}{hint}{f': {words}' if words else ''}"
        return words or f"with exit code {code}, without a message"

    def end(self) -> None:
        """End it: by its input first, and by force when that does not help."""
        with suppress(BrokenPipeError):  # it has ended already
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._kept = self._lines()

    def _lines(self) -> list[str]:
        if not self._log.exists():
            return self._kept
        text = self._log.read_text(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]


@contextmanager
def local_trial(
    module: str, package: Path, *, model: str, digest: str, limits: Limits, patience_s: float
) -> Iterator[LocalTrial]:
    """Start a package's server for evaluation, wait until it is ready, and end it; raises TrialEnded."""
    with tempfile.TemporaryDirectory(prefix="mlcicd-trial-") as folder:
        log = Path(folder) / "log"
        token = secrets.token_urlsafe(32)
        started = time.monotonic()
        trial = LocalTrial(_start(_command(module, package, model, digest, limits), log), log, token)
        try:
            trial.tell(token)
            trial.await_ready(started, patience_s)
            yield trial
        finally:
            trial.end()


def _command(module: str, package: Path, model: str, digest: str, limits: Limits) -> list[str]:
    options = {
        "package": package.resolve(),
        "model": model,
        "digest": digest,
        "environment": "evaluation",
        "port": 0,
        "threads": limits.threads,
        **({"cpus": limits.cpus} if limits.cpus else {}),
        **({"memory-mb": limits.memory_mb} if limits.memory_mb else {}),
    }
    # -P: the working directory must not become a place to import from.
    return [sys.executable, "-P", "-m", module, *(f"--{name}={value}" for name, value in options.items())]


def _start(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    try:
        with log.open("wb") as file:
            return subprocess.Popen(
                command,
                cwd=log.parent,
                env=server_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )
    except OSError as error:
        raise TrialEnded(f"the model server cannot be started ({error.strerror})") from error
