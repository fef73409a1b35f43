"""`mlcicd stale`: what is stale, why, and what it would cost; and running exactly that."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.assessment import assess_all, blueprint_of
from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.automation.planning import PlannedRun
    from mlcicd_assets.automation.staleness import Status


def stale(
    context: typer.Context,
    as_json: Json = False,
    select: Annotated[
        bool,
        typer.Option("--select", help="Print only what 'dagster asset materialize --select' takes."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the runs that --run would make.")] = False,
    run: Annotated[
        bool,
        typer.Option("--run", help="Materialize what is stale, by partition, in as few runs as possible."),
    ] = False,
) -> None:
    """Say what is stale, why, and what it would cost; --run exits 1 when something failed or is held."""
    if sum([as_json and not dry_run, select, dry_run, run]) > 1:
        raise typer.BadParameter("choose one of --json, --select, --dry-run and --run")
    session = session_of(context)
    if run:
        from mlcicd_assets.cli.stale_run import run_stale

        raise typer.Exit(run_stale(session))
    if dry_run:
        _preview(session, as_json)
        return
    statuses = assess_all(session)
    if select:
        _select(statuses)
    elif as_json:
        print_json([as_value(status) for status in statuses])
    else:
        for line in told(statuses):
            typer.echo(line)


def as_value(status: "Status") -> dict[str, Any]:
    """A status as JSON values."""
    return {
        "asset": status.asset,
        "partition": status.partition,
        "state": status.state,
        "reason": status.reason,
        "seconds": status.seconds,
    }


def told(statuses: Sequence["Status"]) -> Iterator[str]:
    """One line for each reason, over as many partitions as follow each other with it; then the sum."""
    for group in groups([status for status in statuses if status.state != "fresh"]):
        first, last = group[0], group[-1]
        name = first.name if first is last else f"{first.name}...{last.partition}"
        cost = _cost(group) if first.state == "stale" else ""
        yield f"{first.state:<8} {name}: {first.reason}{cost}"
    counts = {
        state: sum(status.state == state for status in statuses) for state in ("stale", "waiting", "held")
    }
    if not any(counts.values()):
        yield f"everything is fresh ({len(statuses)} assets and partitions)"
        return
    fresh = len(statuses) - sum(counts.values())
    held = f"{counts['held']} held by a failed check, " if counts["held"] else ""
    yield (
        f"{counts['stale']} stale{_cost([one for one in statuses if one.state == 'stale'])}, {held}"
        f"{counts['waiting']} waiting for records, {fresh} fresh"
    )


def groups(statuses: Sequence["Status"]) -> Iterator[list["Status"]]:
    """Those that follow each other with the same asset, state and reason."""
    group: list[Status] = []
    for status in statuses:
        alike = group and (group[-1].asset, group[-1].state, group[-1].reason) == (
            status.asset,
            status.state,
            status.reason,
        )
        if group and not alike:
            yield group
            group = []
        group.append(status)
    if group:
        yield group


def _cost(statuses: Sequence["Status"]) -> str:
    """`(about 3.2 s)`: from what was recorded; nothing where nobody knows."""
    known = [status.seconds for status in statuses if status.seconds is not None]
    if not known:
        return ""
    at_least = "about" if len(known) == len(statuses) else "at least"
    return f" ({at_least} {duration(sum(known))})"


def duration(seconds: float) -> str:
    """`3.2 s`, `12 min`, `2.5 h`."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _select(statuses: Sequence["Status"]) -> None:
    from mlcicd_assets.automation.staleness import partition_range, selection

    typer.echo(selection(statuses))
    owners: dict[str, list[Status]] = {}
    for status in statuses:
        owners.setdefault(status.asset.split("/")[0], []).append(status)
    ranges = {name: found for name, mine in owners.items() if (found := partition_range(mine))}
    if len(set(ranges.values())) == 1:
        typer.echo(f"with --partition-range {next(iter(ranges.values()))}", err=True)
    elif ranges:
        listed = ", ".join(f"{name} {found}" for name, found in ranges.items())
        typer.echo(f"the partitions differ ({listed}): 'mlcicd stale --run' makes a run for each", err=True)


def _preview(session: Session, as_json: bool) -> None:
    from mlcicd_assets.automation.planning import preview

    blueprint = blueprint_of(session)
    runs = list(preview(blueprint, assess_all(session, blueprint)))
    if as_json:
        print_json([_run_value(planned) for planned in runs])
        return
    for number, planned in enumerate(runs, start=1):
        typer.echo(f"{number}. {summary(planned)}")
        for line in told(planned.statuses):
            if line.startswith("stale    "):
                typer.echo(f"     {line.removeprefix('stale    ')}")
    sure = "content that turns out the same makes fewer" if len(runs) > 1 else ""
    typer.echo(f"{len(runs)} runs at most{f'; {sure}' if sure else ''}" if runs else "nothing to run")


def summary(planned: "PlannedRun") -> str:
    """`flights/raw_data, flights/features 2013-01...2013-03 (about 3.2 s)`."""
    about = f" {planned.partition_range}" if planned.partition_range else ""
    return f"{', '.join(planned.assets)}{about}{_cost(planned.statuses)}"


def _run_value(planned: "PlannedRun") -> dict[str, Any]:
    return {
        "assets": planned.assets,
        "select": planned.selection,
        "partition_range": planned.partition_range,
        "seconds": planned.seconds,
        "reasons": {status.name: status.reason for status in planned.statuses},
    }
