"""`mlcicd alerts`: what needs a person, and telling people of it where no daemon does."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of
from mlcicd_assets.cli.signed import By, Reason

if TYPE_CHECKING:
    from resources.protocols import StandingAlert, Telling

app = typer.Typer(rich_markup_mode=None, help="What needs a person: one alert per cause until it changes.")

Cause = Annotated[str, typer.Argument(help="The alert's cause, as 'mlcicd alerts' shows it.")]
_PATIENCE_S = 60.0
_NEWEST = 100


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="The newest that were resolved, too.")] = False,
    as_json: Json = False,
) -> None:
    """Show the alerts that stand."""
    if context.invoked_subcommand is not None:
        return
    session = session_of(context)
    found = session.alerts.history(_NEWEST) if everything else session.alerts.standing()
    if as_json:
        print_json([_plain(one) for one in found])
        return
    _show(found)


@app.command()
def ack(context: typer.Context, cause: Cause, by: By) -> None:
    """Take care of an alert: nobody else is woken for it."""
    if not session_of(context).alerts.acknowledge(cause, by=by):
        raise typer.BadParameter(f"no alert of the cause {cause!r} stands; see: mlcicd alerts")
    typer.echo(f"{by} takes care of {cause}: on-call is not told of it unless it gets worse")


@app.command()
def resolve(
    context: typer.Context,
    cause: Cause,
    by: By,
    reason: Reason,
) -> None:
    """End an alert that cannot end by itself, as one of a model that is gone."""
    if not session_of(context).alerts.resolve(cause, reason=f"{by}: {reason}"):
        raise typer.BadParameter(f"no alert of the cause {cause!r} stands; see: mlcicd alerts")
    typer.echo(f"{cause} is resolved; it stands again as soon as it is seen again")


@app.command()
def check(context: typer.Context, as_json: Json = False) -> None:
    """Look at everything once and tell people, as the sensor does: for cron. Exit 1: critical ones stand."""
    session = session_of(context)
    _look(session)
    told = session.alerts.tell()
    standing = session.alerts.standing()
    if as_json:
        print_json({"standing": [_plain(one) for one in standing], "told": asdict(told)})
    else:
        _show(standing)
        _say(told)
    if any(one.alert.severity == "critical" for one in standing):
        raise typer.Exit(1)


@app.command("test")
def send_test(context: typer.Context) -> None:
    """Send a test alert by every declared channel. Exit 1: one of them failed."""
    from resources.protocols import Alert

    session = session_of(context)
    outcome = session.alerts.try_channels(
        Alert(
            cause="test/channels",
            state="test",
            severity="info",
            title="this is a test of the alerts of mlcicd: nothing is wrong",
            subject="test:channels",
            owner="",
            evidence={"home": str(session.home.path)},
            command="mlcicd alerts",
        )
    )
    for name, failure in outcome.items():
        typer.echo(f"{name}: {failure or 'sent'}")
    if any(outcome.values()):
        raise typer.Exit(1)


def _look(session: Session) -> None:
    import dagster as dg

    from mlcicd_assets.automation import automation
    from mlcicd_assets.automation.alerts.sensor import owners_of
    from mlcicd_assets.automation.alerts.watch import Watch
    from mlcicd_assets.cli.init import dagster_home, first_open, prepare

    prepare(session)
    first_open(dagster_home(session))
    made = automation()
    names = {one.name for one in [*(made.sensors or ()), *(made.schedules or ())]}
    with dg.DagsterInstance.from_config(str(dagster_home(session))) as instance:
        watch = Watch(
            instance,
            session.alerts,
            session.ledger,
            session.requests,
            session.records,
            owners_of(session.catalogue),
            names,
        )
        while watch.look(session.now(), inside=False, patience_s=_PATIENCE_S).left:
            pass


def _plain(one: "StandingAlert") -> dict[str, Any]:
    found = asdict(one)
    return {**found.pop("alert"), **found}


def _show(found: Sequence["StandingAlert"]) -> None:
    if not found:
        typer.echo("nothing needs a person")
        return
    out = console()
    columns = ["severity", "since", "seen", "what", "cause", "told"]
    out.print(table("", columns, [_row(one) for one in found]))
    for one in found:
        if not one.resolved_at and one.alert.command:
            out.print(f"{one.alert.cause}: {one.alert.command}", markup=False)


def _row(one: "StandingAlert") -> list[object]:
    state = f"resolved {one.resolved_at[:19]}" if one.resolved_at else one.alert.severity
    told = ", ".join(one.told) or "not yet"
    told = f"{told}; {one.acknowledged_by} takes care" if one.acknowledged_by else told
    told = f"{told} ({one.untold})" if one.untold else told
    return [state, one.first[:19], one.count, one.alert.title, one.alert.cause, told]


def _say(told: "Telling") -> None:
    if told.sent:
        typer.echo(f"{told.sent} messages sent")
    for failure in told.failures:
        typer.echo(f"not told, tried again later: {failure}", err=True)
