"""Processes that evaluate trials: one that dies, or takes too much memory, is one failed trial."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from mlcicd_assets.ml.training.tuning import Outcome, Unit

_WORKER = "mlcicd_assets.ml.training.trial_worker"


class TrialPool:
    """Evaluates units of one job (a folder that `trial_worker.Job.write` made) in `workers` processes.

    `remaining` gives the seconds that are left (None: no limit); when they are over, processes are killed and
    what they had not finished is left out.
    """

    def __init__(self, job: Path, workers: int, *, remaining: Callable[[], float | None]) -> None:
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(job) for _ in range(workers)]
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, "trial")
        self._remaining = remaining

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()
        self._threads.shutdown(cancel_futures=True)

    def __call__(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        """Outcomes as they come."""
        waiting = {self._threads.submit(self._one, unit) for unit in units}
        while waiting:
            left = self._remaining()
            done, waiting = wait(waiting, timeout=left, return_when=FIRST_COMPLETED)
            if not done or (left is not None and left <= 0):
                self._give_up(waiting)
                return
            yield from (future.result() for future in done)

    def _one(self, unit: Unit) -> Outcome:
        worker = self._idle.get()
        try:
            return worker.evaluate(unit)
        finally:
            self._idle.put(worker)

    def _give_up(self, waiting: set[Future[Outcome]]) -> None:
        for future in waiting:
            future.cancel()
        self._kill()

    def _kill(self) -> None:
        for worker in self._workers:
            worker.kill()


class _Worker:
    """One process, started when it is first needed and again after it died."""

    def __init__(self, job: Path) -> None:
        self._job = job
        self._process: subprocess.Popen[str] | None = None
        self._over = False

    def evaluate(self, unit: Unit) -> Outcome:
        """Ask the process and wait for its answer."""
        process = self._process or self._start()
        answer = _asked(process, json.dumps({"fold": unit.fold, "params": dict(unit.params)}))
        if not answer:
            return Outcome(unit, None, self._death(process))
        found = json.loads(answer)
        return Outcome(unit, found.get("score"), found.get("error", ""))

    def kill(self) -> None:
        """End the process; none is started any more."""
        self._over = True
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> "subprocess.Popen[str]":
        if self._over:
            raise RuntimeError("the time for tuning is over")
        # What this process can import, the worker can: a project that is not installed is on sys.path only.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", _WORKER, str(self._job), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        return self._process

    def _death(self, process: "subprocess.Popen[str]") -> str:
        code, self._process = process.wait(), None
        if code == -signal.SIGKILL:
            return (
                "its process was killed, most likely because the machine ran out of memory; "
                "declare fewer tune.jobs, or narrow the search space"
            )
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"its process died {how}; run the estimator with these parameters by hand"


def _asked(process: "subprocess.Popen[str]", line: str) -> str:
    """The answer to a line; empty when the process died over it."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""
