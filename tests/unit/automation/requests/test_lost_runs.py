"""A run whose process is gone is seen as lost, and Dagster's record says so."""

import os
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import DefaultRunLauncher

from mlcicd_assets.automation.requests.lost_runs import LOST, is_lost


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """As on one machine, by Dagster's own launcher."""
    with dg.DagsterInstance.ephemeral() as made:
        made._run_launcher = DefaultRunLauncher()
        yield made


def started(instance: dg.DagsterInstance, pid: int | None) -> dg.DagsterRun:
    """A run that goes on in a process."""

    @dg.job
    def nothing() -> None: ...

    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED)
    if pid is not None:
        instance.report_engine_event(
            f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
        )
    return run


def test_a_run_whose_process_lives_goes_on(instance: dg.DagsterInstance):
    assert not is_lost(instance, started(instance, os.getpid()))


def test_a_run_that_never_named_a_process_goes_on(instance: dg.DagsterInstance):
    assert not is_lost(instance, started(instance, None))


def test_a_run_whose_process_is_gone_is_lost_and_dagster_knows(instance: dg.DagsterInstance):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    run = started(instance, process.pid)

    assert is_lost(instance, run)

    known = instance.get_run_by_id(run.run_id)
    assert known is not None
    assert known.status == dg.DagsterRunStatus.FAILURE
    assert LOST in known.tags
    assert is_lost(instance, known), "the next look says the same"


def test_a_number_that_another_process_was_given_later_is_not_taken_for_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    run = started(instance, os.getpid())
    monkeypatch.setattr("mlcicd_assets.automation.requests.lost_runs._booted", lambda: 4e9)

    assert is_lost(instance, run)
