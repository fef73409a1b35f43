"""What became of runs that were asked for, and what else is at work: read in bulk from Dagster's storage."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlcicd_assets.automation.alerts.runs import read_run
from mlcicd_assets.automation.requests.lost_runs import is_lost
from mlcicd_assets.automation.requests.situation import Seen
from resources.protocols import KeptRequest

RUN_KEY = "dagster/run_key"
GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BATCH = 200
# A run of the command line that was killed stays STARTED for ever: nobody waits longer for it.
_PATIENCE = timedelta(hours=6)
_NAMED = 3  # of several failures


def seen_runs(instance: dg.DagsterInstance, dispatched: Sequence[KeptRequest]) -> dict[str, Seen]:
    """The runs of these requests' launches, by key; those that Dagster has not made are left out."""
    keys = sorted({launch.key for kept in dispatched for launch in kept.launches})
    found: dict[str, Seen] = {}
    for start in range(0, len(keys), _BATCH):
        some = keys[start : start + _BATCH]
        # Of two with one key, the newest: somebody ran it again.
        for run in reversed(instance.get_runs(dg.RunsFilter(tags={RUN_KEY: some}))):
            found[run.tags[RUN_KEY]] = _seen(instance, run)
    return found


def _seen(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Seen:
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return Seen(run.run_id, "done")
    if run.status == dg.DagsterRunStatus.NOT_STARTED:
        return Seen(run.run_id, "created")
    if is_lost(instance, run):
        return Seen(run.run_id, "lost")
    if run.status == dg.DagsterRunStatus.CANCELED:
        return Seen(run.run_id, "failed", f"run {run.run_id[:8]} was cancelled")
    if run.status == dg.DagsterRunStatus.FAILURE:
        return Seen(run.run_id, "failed", "; ".join(_failures(instance, run)))
    return Seen(run.run_id, "going")


def _failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The checks that failed, and the steps that failed by themselves."""
    seen = read_run(instance, run)
    told = [
        f"check {one.asset}:{one.check} failed{f': {one.said}' if one.said else ''}"
        for one in seen.checks
        if not one.passed and one.blocking
    ]
    told += [f"step {one.step} failed: {one.error}" for one in seen.steps if one.failed]
    more = [f"{len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return [*told[:_NAMED], *more] or [f"run {run.run_id[:8]} failed"]


def busy_lanes(instance: dg.DagsterInstance, ours: Mapping[str, Seen], now: datetime) -> dict[str, str]:
    """Datasets and models that a run is at work on which nobody asked for here: lane -> run."""
    mine = {seen.run for seen in ours.values()}
    filters = dg.RunsFilter(statuses=GOING, updated_after=now.astimezone(UTC) - _PATIENCE)
    others = (run for run in instance.get_runs(filters) if run.run_id not in mine)
    return {lane: run.run_id[:8] for run in others if not is_lost(instance, run) for lane in _lanes(run)}


def _lanes(run: dg.DagsterRun) -> Iterator[str]:
    yield from {key.path[0] for key in run.asset_selection or ()}
