"""The processes of one serving folder, known by a mark in their environment and never by a number alone.

A process number in a file may belong to anybody after a reboot. What the supervisor starts inherits the mark,
so it is found again even when the supervisor itself was killed.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.protocols import ResourceError

MARK = "MLCICD_SERVING_FOLDER"
_PROC = Path("/proc")


def find(folder: Path) -> list[int]:
    """The living processes that carry the folder's mark and belong to this user, without this one."""
    numbers = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())
    return [pid for pid in numbers if pid != os.getpid() and is_ours(pid, folder)]


def is_ours(pid: int, folder: Path) -> bool:
    """Whether a process carries the folder's mark; a zombie, a stranger's and a vanished one do not."""
    try:
        if (_PROC / str(pid)).stat().st_uid != os.geteuid():
            return False
        environ = _PROC / str(pid) / "environ"
        # Read again when empty: under memory pressure the kernel can fail to give a living process's pages.
        variables = (environ.read_bytes() or environ.read_bytes()).split(b"\0")
    except OSError:
        return False  # it ended while we looked, or is not ours to look at
    return f"{MARK}={folder}".encode() in variables


def end_all(folder: Path, *, grace_s: float = 10.0) -> None:
    """End every process of the folder: SIGTERM, and SIGKILL after the grace; raises ResourceError."""
    for sign, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if _ended(folder, sign, patience):
            return
    raise ResourceError(f"{folder}: processes {find(folder)} do not end; end them by hand")


def _ended(folder: Path, sign: signal.Signals, patience_s: float) -> bool:
    """Signal each process once, also one that only appears while others end; whether all went in time."""
    deadline = time.monotonic() + patience_s
    told: set[int] = set()
    while pids := find(folder):
        told.update(pid for pid in set(pids) - told if _signal(pid, folder, sign))
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        with _handle(pids[0]) as handle:
            if handle is not None:
                select.select([handle], [], [], min(remaining, 1.0))
    return True


def _signal(pid: int, folder: Path, sign: signal.Signals) -> bool:
    """Whether it was told; when its mark could not be read this once, it is asked for again."""
    # The handle keeps its number from being given to another process between the look and the signal.
    with _handle(pid) as handle:
        if handle is None or not is_ours(pid, folder):
            return False
        with suppress(ProcessLookupError):  # it ended by itself
            signal.pidfd_send_signal(handle, sign)
        return True


@contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)
