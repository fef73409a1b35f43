"""`mlcicd stale --run`: one run of Dagster after the other, deciding anew after each.

Nothing is kept about the plan: records tell what was made, so a run that was killed goes on by running again.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.planning import PlannedRun, next_run
from mlcicd_assets.automation.staleness import Place, Status
from mlcicd_assets.cli.assessment import assess_all, blueprint_of
from mlcicd_assets.cli.materialize import Outcome, StepEvent, materialize
from mlcicd_assets.cli.stale import summary

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session


def run_stale(session: "Session") -> int:
    """Run everything stale; returns 0, or 1 when something failed or is held by a failed check."""
    from mlcicd_assets.cli.init import prepare

    blueprint = blueprint_of(session)
    statuses = assess_all(session, blueprint)
    tried: set[Place] = set()
    runs, failed = 0, False
    while planned := next_run(blueprint, statuses, tried):
        if not runs:
            prepare(session)
        runs += 1
        tried |= {status.place for status in planned.statuses}
        _register(session, blueprint, planned)
        outcome = _run(session, planned)
        failed = failed or not outcome.succeeded
        statuses = assess_all(session, blueprint)
    left = [status for status in statuses if status.state in {"stale", "held"}]
    _conclude(runs, left, failed)
    return 1 if failed or left else 0


def _register(session: "Session", blueprint: Blueprint, planned: PlannedRun) -> None:
    """Dagster has to know a dynamic partition before it runs."""
    from mlcicd_assets.cli.register import register_keys

    dynamic: dict[str, list[str]] = {}
    for status in planned.statuses:
        dataset = blueprint.datasets.get(status.asset.split("/")[0])
        if dataset and dataset.partitions == "dynamic" and status.partition:
            dynamic.setdefault(dataset.name, []).append(status.partition)
    for name, keys in dynamic.items():
        register_keys(session, name, keys)


def _run(session: "Session", planned: PlannedRun) -> Outcome:
    typer.echo(f"run: {summary(planned)}")
    outcome = materialize(session, planned.selection, planned.partition_range, _watch)
    if not outcome.succeeded:
        if not outcome.failures:
            typer.echo("Dagster's command failed before any step; its last lines:", err=True)
            typer.echo("\n".join(outcome.log.read_text().splitlines()[-15:]), err=True)
        typer.echo(f"the whole log: {outcome.log}", err=True)
    return outcome


def _watch(event: StepEvent) -> None:
    if event.state == "failed":
        typer.echo(f"  failed {event.step}: {event.text}", err=True)
    elif event.state == "done":
        typer.echo(f"  done   {event.step}  {event.text}")


def _conclude(runs: int, left: Sequence[Status], failed: bool) -> None:
    from mlcicd_assets.cli.stale import told

    for line in told(left) if left else []:
        typer.echo(line, err=failed)
    if not runs and not left:
        typer.echo("everything is fresh: nothing to run")
    elif not left:
        typer.echo(
            f"everything is fresh after {runs} runs" if runs > 1 else "everything is fresh after one run"
        )
