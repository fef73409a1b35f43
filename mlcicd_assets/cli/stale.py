"""`mlcicd stale`: what is stale and why."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mlcicd_assets.cli.output import Json, console, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.automation.staleness import Status


def stale(
    context: typer.Context,
    as_json: Json = False,
    select: Annotated[
        bool,
        typer.Option("--select", help="Print only what 'dagster asset materialize --select' takes."),
    ] = False,
) -> None:
    """Say what is stale and why."""
    from mlcicd_assets.automation.staleness import selection

    statuses = assess_all(session_of(context))
    if select:
        typer.echo(selection(statuses))
    elif as_json:
        print_json([asdict(status) for status in statuses])
    else:
        _show(statuses)


def assess_all(session: Session) -> list["Status"]:
    """Whether each asset (partition) is fresh, from this environment's records and files."""
    from mlcicd_assets.automation.staleness import assess, current_codes, landed_files

    return assess(
        session.catalogue,
        session.records.all(),
        landed_files(session.catalogue, session.landing, session.now().replace(tzinfo=None)),
        current_codes(session.catalogue),
        _champions(session),
    )


def _champions(session: Session) -> dict[str, str]:
    """The digest of each model's champion, as the ledger recorded the promotion."""
    from mlcicd_assets.cli.proofs import champion_version

    champions = {}
    for model in session.catalogue.models:
        version = champion_version(session.ledger, model)
        entries = [
            entry for entry in session.ledger.entries(model) if entry.version == version and entry.digest
        ]
        if version is not None and entries:
            champions[model] = str(entries[-1].digest)
    return champions


def _show(statuses: list["Status"]) -> None:
    out = console()
    for status in statuses:
        if status.state != "fresh":
            out.print(f"{status.state:<8} {status.name}: {status.reason}", markup=False)
    counts = {state: sum(status.state == state for status in statuses) for state in ("stale", "waiting")}
    if not any(counts.values()):
        out.print(f"everything is fresh ({len(statuses)} assets and partitions)")
        return
    fresh = len(statuses) - sum(counts.values())
    out.print(f"{counts['stale']} stale, {counts['waiting']} waiting for records, {fresh} fresh")
