"""Running Dagster's own command from ours, showing what it does while it does it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session

_EVENT = re.compile(r" - (?P<step>\S+) - STEP_(?P<event>START|SUCCESS|FAILURE) - (?P<text>.*)$")
_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ - ")
_TOOK = re.compile(r" in ([\d.]+)(ms|s|m\S*)\.?$")
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*): ?(?P<message>.*)$", re.DOTALL)
# Names that say nothing to a person who only wants to know what was wrong.
_FRAMES = ("dagster._core.errors.DagsterExecutionStepExecutionError",)
_OURS = ("dagster._core.definitions.events.Failure", "dagster._core.errors.DagsterAssetCheckFailedError")


@dataclass(frozen=True)
class StepEvent:
    """A step began, ended well, or failed; `text` is how long it took, or why it failed."""

    step: str  # "flights/raw_data"
    state: Literal["running", "done", "failed"]
    text: str = ""


@dataclass(frozen=True)
class Outcome:
    """How the run ended."""

    succeeded: bool
    failures: tuple[StepEvent, ...]
    log: Path


def command(selection: str, partitions: str | None) -> list[str]:
    """Dagster's own command, as a person would type it, for this interpreter."""
    chosen = ["--partition-range", partitions] if partitions else []
    return ["dagster", "asset", "materialize", "-f", "definitions.py", "--select", selection, *chosen]


def materialize(
    session: "Session", selection: str, partitions: str | None, watch: Callable[[StepEvent], None]
) -> Outcome:
    """Run the command to its end; every line goes to a log file under the home, steps to `watch`."""
    from mlcicd_assets.cli.init import dagster_home
    from resources import PROJECT

    log = session.home.reports / "materialize.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        **session.environment,
        "MLCICD_HOME": str(session.home.path),
        "DAGSTER_HOME": str(dagster_home(session)),
    }
    # Without its bytecode cache every process would compile its libraries anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    failures = []
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", *command(selection, partitions)],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for event in read_events(_copied(process.stdout or (), file.write)):
            watch(event)
            if event.state == "failed":
                failures.append(event)
    return Outcome(process.returncode == 0, tuple(failures), log)


def _copied(lines: Iterable[str], write: Callable[[str], object]) -> Iterator[str]:
    for line in lines:
        write(line)
        yield line.rstrip("\n")


def read_events(lines: Iterable[str]) -> Iterator[StepEvent]:
    """What a Dagster log says of its steps; a failure is told once its message is complete."""
    failed: str | None = None
    message: list[str] = []
    for line in lines:
        if failed is not None and (line.startswith("Stack Trace:") or _LINE.match(line)):
            yield StepEvent(failed, "failed", explained("\n".join(message)))
            failed, message = None, []
        found = _EVENT.search(line)
        if failed is not None:
            message.append(line)
        elif found and found["event"] == "FAILURE":
            failed = _readable(found["step"])
        elif found:
            yield _passed(found)
    if failed is not None:
        yield StepEvent(failed, "failed", explained("\n".join(message)))


def _passed(found: re.Match[str]) -> StepEvent:
    if found["event"] == "START":
        return StepEvent(_readable(found["step"]), "running")
    took = _TOOK.search(found["text"])
    return StepEvent(_readable(found["step"]), "done", f"{took[1]} {took[2]}" if took else "")


def _readable(step: str) -> str:
    return step.replace("__", "/", 1)


def explained(text: str) -> str:
    """The message of what was raised, without Dagster's wrapping; a foreign error keeps its type."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    told = [part for part in paragraphs if not part.startswith(_FRAMES)] or paragraphs
    found = _RAISED.match("\n".join(told))
    if found is None:
        return "\n".join(told)
    return found["message"] if found["type"] in _OURS else f"{found['type']}: {found['message']}"
