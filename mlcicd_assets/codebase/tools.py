"""Running a tool as a module of this Python, and saying plainly when it is missing, too slow or broken."""

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

EXTRA = "pip install 'mlcicd-assets[ci]'"


class ToolFailed(Exception):
    """A tool that gave no answer; says why and what to do."""


@dataclass(frozen=True)
class Answer:
    """What a tool printed, and its exit code."""

    code: int
    out: str
    err: str


def require(module: str) -> None:
    """Raise ToolFailed where a tool is not installed."""
    if find_spec(module) is None:
        raise ToolFailed(f"{module} is not installed, so nothing was checked: {EXTRA}")


def run_module(
    module: str, arguments: Sequence[str], root: Path, seconds: float, *, answers: Collection[int]
) -> Answer:
    """Run `python -m module` in the project's folder; `answers` are the exit codes that mean something.

    Secrets of the environment stay here: a tool, and a project's own tests, run without them. Raises
    ToolFailed.
    """
    require(module)
    command = [sys.executable, "-m", module, *arguments]
    # A session of its own, so that what it started ends with it.
    with subprocess.Popen(
        command,
        cwd=root,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise ToolFailed(
                f"{module} did not end in {seconds:g} s: make it quicker, or declare a longer 'timeout'"
            ) from None
    if process.returncode not in answers:
        last = (err.strip() or out.strip()).splitlines()[-3:]
        raise ToolFailed(f"{module} ended with {process.returncode}: {' / '.join(last) or 'it said nothing'}")
    return Answer(process.returncode, out, err)


_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


def clean_environment() -> dict[str, str]:
    """The environment of this process without what looks like a secret."""
    kept = {
        name: value for name, value in os.environ.items() if not any(word in name.upper() for word in _SECRET)
    }
    # Without the bytecode cache every process compiles its libraries anew.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept
