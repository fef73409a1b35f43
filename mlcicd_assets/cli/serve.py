"""`mlcicd serve`: the proxy and the model servers of this home."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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


@app.command()
def targets(context: typer.Context) -> None:
    """Print what a Prometheus scrapes (file_sd): the proxy, and each version's server with its labels."""
    status = session_of(context).serving.status()
    found = [_target(status.metrics, job="envoy")] if status.metrics else []
    found += [
        _target(
            f"{server.address}/metrics",
            job="model_server",
            environment=server.environment,
            model=server.model,
            version=str(server.version),
        )
        for server in status.servers
        if server.state == "ready"
    ]
    print_json(found)


def _target(address: str, *, job: str, **labels: str) -> dict[str, Any]:
    parts = urlsplit(address)
    return {"targets": [parts.netloc], "labels": {"job": job, "__metrics_path__": parts.path, **labels}}


def repair(session: Session, model: str) -> list[str]:
    """Make production serve as the ledger and a running rollout say; returns what had to be done.

    A server that is gone is started again from the registry, proven anew; what a killed worker left undone is
    done. Raises Refused, LaunchRefused, ResourceError.
    """
    from mlcicd_assets.assets.rollouts.repair import repair as repair_rollout
    from mlcicd_assets.cli.rollout import rollouts_of

    return repair_rollout(rollouts_of(session, model))


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
