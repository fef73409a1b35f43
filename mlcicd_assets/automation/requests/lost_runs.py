"""Runs whose process is gone: killed by force, out of memory, or with the whole machine.

Dagster's own launcher starts runs as processes of this machine and never looks at them again, so that such a
run stays "started" for ever. Its event log names the process; where that is gone the run has ended, and
Dagster is told so. Runs that another launcher started are watched by Dagster's run monitoring.
"""

import os
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEventType, RunFailureReason
from dagster._core.launcher import DefaultRunLauncher

LOST = "mlcicd/lost"
_STARTED = "Started process for run (pid: "
_GOING = {dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}
_CLOCKS_S = 2.0  # between the kernel's clock and the log's
_PROC = Path("/proc")


def is_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether its process is gone; then Dagster's record says that it failed, and that it was lost."""
    if LOST in run.tags or _never_began(instance, run):
        return True
    if run.status not in _GOING or not isinstance(instance.run_launcher, DefaultRunLauncher):
        return False
    started = _process(instance, run.run_id)
    if started is None or _lives(*started):
        return False
    # It may have ended in this very moment: then its last word is in the log by now.
    again = instance.get_run_by_id(run.run_id)
    if again is None or again.status not in _GOING:
        return False
    # The tag first: killed between the two, the next look finds a run that still goes on.
    instance.add_run_tags(run.run_id, {LOST: "its process is gone"})
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    instance.report_run_failed(again, f"The process of the run (pid {started[0]}) is gone: it was killed.")
    return True


def _never_began(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether Dagster's monitoring gave it up because no process of it ever reported."""
    if run.status != dg.DagsterRunStatus.FAILURE:
        return False
    for entry in instance.all_logs(run.run_id, of_type={DagsterEventType.RUN_FAILURE}):
        event = entry.dagster_event
        if event and event.job_failure_data.failure_reason == RunFailureReason.START_TIMEOUT:
            return True
    return False


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """Its number, and when it was told of; None before it was."""
    for entry in instance.all_logs(run_id, of_type={DagsterEventType.ENGINE_EVENT}):
        message = entry.dagster_event.message if entry.dagster_event else None
        if message and message.startswith(_STARTED):
            return int(message.removeprefix(_STARTED).split(")")[0]), entry.timestamp
    return None


def _lives(pid: int, told: float) -> bool:
    """Whether it is there and is the same: numbers are given again, after a restart for sure."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    state, *fields = text.rpartition(")")[2].split()
    began = _booted() + int(fields[18]) / os.sysconf("SC_CLK_TCK")
    return state != "Z" and began <= told + _CLOCKS_S


def _booted() -> float:
    lines = (_PROC / "stat").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("btime ")))
