"""What a server's own process keeps to: threads, cores and memory."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

OUT_OF_MEMORY = 137  # as a container that the kernel killed for its memory: 128 + SIGKILL
_LOOK_S = 0.02


def set_threads(threads: int) -> None:
    """Let libraries use so many threads; read once by each when it is imported."""
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = str(threads)


def keep_to_cpus(cpus: int) -> None:
    """Run on so many of the cores that this process may use: the last ones, which start-up work avoids."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, allowed[-cpus:])


def watch_memory(limit_mb: float, end: Callable[[float], None]) -> None:
    """Call `end` with what is resident (10^6 bytes) as soon as it exceeds the limit."""
    threading.Thread(target=_watch, args=(limit_mb, end), name="memory", daemon=True).start()


def _watch(limit_mb: float, end: Callable[[float], None]) -> None:
    while True:
        resident = resident_mb()
        if resident > limit_mb:
            end(resident)
            return
        time.sleep(_LOOK_S)


def resident_mb() -> float:
    """What this process has resident, in 10^6 bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
