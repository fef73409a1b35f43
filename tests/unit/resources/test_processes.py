"""Processes are known by their mark; a number alone says nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resources import processes

Start = Callable[..., subprocess.Popen[bytes]]
WAIT = "import sys, time; print(flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}"
# What the test process ignores or blocks, its children would too.
_AS_USUAL = "signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.pthread_sigmask(signal.SIG_SETMASK, [])"
SLEEP = f"import signal; {_AS_USUAL}; {WAIT}"


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(mark: Path | None, code: str = SLEEP) -> subprocess.Popen[bytes]:
        marked = {processes.MARK: str(mark)} if mark else {}
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, env={**os.environ, **marked}, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()  # it is up, and has set its handlers
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait(10)


def test_finds_its_own_and_no_others(start: Start, tmp_path: Path) -> None:
    ours, other, _ = start(tmp_path / "a"), start(tmp_path / "b"), start(None)
    assert processes.find(tmp_path / "a") == [ours.pid]
    assert processes.find(tmp_path / "b") == [other.pid]
    assert not processes.is_ours(os.getpid(), tmp_path / "a")
    assert not processes.is_ours(2**22, tmp_path / "a")


def test_a_name_that_only_begins_alike_is_another(start: Start, tmp_path: Path) -> None:
    start(tmp_path / "home2")
    assert processes.find(tmp_path / "home") == []


def test_ends_its_own_only(start: Start, tmp_path: Path) -> None:
    ours, other = start(tmp_path / "a"), start(tmp_path / "b")
    processes.end_all(tmp_path / "a")
    assert ours.wait(10) == -signal.SIGTERM
    assert other.poll() is None


def test_a_mark_that_cannot_be_read_for_a_moment_is_read_again(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, looks = start(tmp_path), iter([True, False])
    real = processes.is_ours
    monkeypatch.setattr(
        processes,
        "is_ours",
        lambda pid, folder: real(pid, folder) and (pid != process.pid or next(looks, True)),
    )
    processes.end_all(tmp_path)
    assert process.wait(10) == -signal.SIGTERM


def test_ends_what_does_not_listen(start: Start, tmp_path: Path) -> None:
    stubborn = start(tmp_path, STUBBORN)
    processes.end_all(tmp_path, grace_s=0.2)
    assert stubborn.wait(10) == -signal.SIGKILL


def test_nothing_to_end_is_no_error(tmp_path: Path) -> None:
    processes.end_all(tmp_path)
