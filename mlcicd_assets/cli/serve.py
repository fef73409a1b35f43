"""`mlcicd serve`: the proxy and the model servers of this home."""

from typing import TYPE_CHECKING, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from resources.protocols import ServingStatus

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Start, stop or show what serves.")


@app.command()
def start(context: typer.Context, as_json: Json = False) -> None:
    """Bring everything up again, and give each champion its traffic."""
    session = session_of(context)
    session.serving.start()
    repaired = [line for model in session.catalogue.models for line in repair(session, model)]
    status = session.serving.status()
    if as_json:
        print_json({**_plain(status), "repaired": repaired})
        return
    for line in repaired:
        typer.echo(line)
    _show(status)


@app.command()
def stop(context: typer.Context) -> None:
    """Take the proxy and every model server down; 'start' brings them back as they were."""
    session_of(context).serving.stop()
    typer.echo("serving is stopped")


@app.command("status")
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show what runs, where, and with which share of the traffic."""
    status = session_of(context).serving.status()
    print_json(_plain(status)) if as_json else _show(status)


def repair(session: Session, model: str) -> list[str]:
    """Make production serve the ledger's champion; says what had to be done.

    The champion's server is started again from the registry, proven anew, where it is gone. Raises Refused,
    LaunchRefused, ResourceError.
    """
    from mlcicd_assets.cli.proofs import champion_version
    from mlcicd_assets.serving.routing import follow

    champion = champion_version(session.ledger, model)
    if champion is None:
        return []
    done = []
    if not _ready(session.serving.status(), model, champion):
        _launch(session, model, champion)
        done.append(f"{model}: version {champion} was started again")
    if follow(session.serving, model, champion):
        done.append(f"{model}: production follows the champion again, version {champion}")
    return done


def _ready(status: "ServingStatus", model: str, version: int) -> bool:
    wanted = (model, version, "production")
    return any(
        (server.model, server.version, server.environment) == wanted and server.state == "ready"
        for server in status.servers
    )


def _launch(session: Session, model: str, number: int) -> None:
    from mlcicd_assets.cli.proofs import fetched, prove_package, prove_verdict
    from resources.protocols import ResourceError

    version = session.registry.get(model, number)
    if version is None:
        raise ResourceError(
            f"{model}: the ledger names version {number} champion, but the registry has no such version"
        )
    with fetched(session, version) as found:
        prove_package(found)
        # By the gates it was promoted with: a bound that was raised since takes nothing out of production.
        prove_verdict(session, found)
        session.serving.launch(found.release(), session.keys.trusted_keys())


def _plain(status: "ServingStatus") -> dict[str, Any]:
    return {
        "running": status.running,
        "addresses": dict(status.addresses),
        "problems": list(status.problems),
        "servers": [
            {
                "model": server.model,
                "version": server.version,
                "environment": server.environment,
                "state": server.state,
                "weight": server.weight,
                "address": server.address,
                "digest": server.digest,
                "pid": server.pid,
                "error": server.error,
            }
            for server in status.servers
        ],
    }


def _show(status: "ServingStatus") -> None:
    out = console()
    if not status.running:
        out.print("serving is stopped; 'mlcicd serve start' brings it up")
    for environment, address in status.addresses.items() if status.running else ():
        out.print(f"{environment}: {address}", markup=False)
    rows = [
        (server.model, server.version, server.environment, server.state, f"{server.weight} %", server.error)
        for server in status.servers
    ]
    if rows:
        out.print(table("", ["model", "version", "environment", "state", "traffic", "error"], rows))
    for problem in status.problems:
        out.print(f"problem: {problem}", markup=False)
