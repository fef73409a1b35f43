"""`mlcicd hooks`: receiving webhooks of git and of data that landed."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import session_of

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Receive webhooks, or show what waits.")

_NAMES = ("MLCICD_HOOK_SECRET", "MLCICD_HOOK_SECRET_PREVIOUS")
_SHORTEST = 16
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: a free one.")] = 8786,
) -> None:
    """Receive signed webhooks until it is stopped; the secret is MLCICD_HOOK_SECRET or in a file."""
    import logging
    import sys

    from mlcicd_assets.automation.hooks.application import Receiver, application
    from mlcicd_assets.automation.hooks.server import listener, server

    session = session_of(context)
    environment = session.environment
    hook_secrets(environment)  # refuse before anything listens
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    session.home.prepare()
    receiver = Receiver(session.inbox, lambda: hook_secrets(environment))
    try:
        bound = listener(host, port)
    except OSError as error:
        raise typer.BadParameter(
            f"{host}:{port} cannot be listened on ({error.strerror}); --port 0"
        ) from error
    typer.echo(f"webhooks are received at http://{host}:{bound.getsockname()[1]}/hooks/git")
    if host not in _LOOPBACK:
        typer.echo("anybody who reaches it may send: put TLS in front (a reverse proxy)", err=True)
    server(application(receiver)).run(sockets=[bound])


@app.command()
def inbox(context: typer.Context, as_json: Json = False) -> None:
    """Show the deliveries that no trigger has acted on yet."""
    found = session_of(context).inbox
    waiting = [*found.waiting("git"), *found.waiting("data")]
    if as_json:
        print_json([asdict(one) for one in waiting])
        return
    if not waiting:
        typer.echo("no delivery waits")
        return
    rows = [
        (one.at, one.lane, one.sender, one.key, " ".join(f"{k}={v}" for k, v in one.message.items() if v))
        for one in waiting
    ]
    console().print(table("", ["received", "lane", "from", "delivery", "message"], rows))


def hook_secrets(environment: Mapping[str, str]) -> list[str]:
    """The secrets that hold now, the newest first; raises ResourceError where there is none or a weak one.

    A file may hold two, one in a line, while one is being replaced; it is read anew for each delivery.
    """
    from resources.protocols import ResourceError

    found = [line for name in _NAMES for line in _given(environment, name)]
    if not found:
        raise ResourceError(
            "no secret for webhooks: set MLCICD_HOOK_SECRET or MLCICD_HOOK_SECRET_FILE, "
            "for example to the output of: openssl rand -hex 32"
        )
    if any(len(secret) < _SHORTEST for secret in found):
        raise ResourceError(f"a webhook's secret has at least {_SHORTEST} characters: openssl rand -hex 32")
    return found[:2]


def _given(environment: Mapping[str, str], name: str) -> list[str]:
    from resources.redaction import know
    from resources.secrets import Secret

    if environment.get(f"{name}_FILE"):
        return [know(line) for line in Secret(f"file:{environment[f'{name}_FILE']}").reveal().split()]
    return [Secret(f"env:{name}", environment).reveal()] if environment.get(name, "").strip() else []
