"""The commands, put together; and how errors are told: one plain line, never a traceback."""

import os
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from mlcicd_assets.cli import (
    alerts,
    approvals,
    audit,
    backtest,
    doctor,
    hooks,
    impact,
    init,
    keys,
    land,
    monitor,
    predict,
    pull,
    register,
    repair,
    reproduce,
    requests,
    retention,
    rollout,
    serve,
    stale,
    status,
    verify,
)
from mlcicd_assets.cli.ci.command import ci
from mlcicd_assets.cli.report.command import report

REFUSED = 1
UNUSABLE = 2
TRACEBACK = "MLCICD_TRACEBACK"


class PlainErrors(TyperGroup):
    """Turns what a person can mend into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors end the process with 1 (refused by a gate or policy) or 2."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):  # click ends those as it should
            raise
        except click.ClickException as error:
            typer.echo(f"{_asked(error, ctx)}: {error.format_message()}", err=True)
            raise typer.Exit(UNUSABLE) from error
        except Exception as error:  # the last place where anything can still be told
            if os.environ.get(TRACEBACK):
                raise
            typer.echo(f"mlcicd: {plain(error)}", err=True)
            raise typer.Exit(exit_code(error)) from error


def exit_code(error: Exception) -> int:
    """1 where a proof or a policy refused, 2 for everything else."""
    from mlcicd_assets.release.envelope import Refused
    from resources.protocols import LaunchRefused

    return REFUSED if isinstance(error, Refused | LaunchRefused) else UNUSABLE


def plain(error: Exception) -> str:
    """The message in one line; an error that nobody foresaw says its type, and how to see where it was."""
    from mlcicd_assets.release.envelope import Refused
    from resources.protocols import ResourceError

    text = " ".join(str(error).split())
    # Our own errors are ValueErrors of a name of their own, and their messages say place and remedy.
    foreseen = isinstance(error, Refused | ResourceError) or type(error).__module__.startswith(
        "mlcicd_assets"
    )
    return text if foreseen else f"{type(error).__name__}: {text} (see where with {TRACEBACK}=1)"


def _asked(error: click.ClickException, context: click.Context) -> str:
    """The command that was misused."""
    where = error.ctx if isinstance(error, click.UsageError) and error.ctx else context
    return where.command_path


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("mlcicd-assets"))
        raise typer.Exit


app = typer.Typer(
    cls=PlainErrors,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # the plain help comes twice as fast
    pretty_exceptions_enable=False,
    help="Models from data to production, each step proven. Exit codes: 0 ok, 1 refused, 2 bad usage.",
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


app.command("status")(status.status)
app.command("stale")(stale.stale)
app.command("report")(report)
app.command("ci")(ci)
app.command("backtest")(backtest.backtest)
app.command("impact")(impact.impact)
app.command("monitor")(monitor.monitor)
app.command("predict")(predict.predict)
app.command("verify")(verify.verify)
app.command("reproduce")(reproduce.reproduce)
app.command("retrain", hidden=True)(reproduce.retrain)  # what `reproduce` runs at the other commit
app.command("approve")(approvals.approve)
app.command("reject")(approvals.reject)
app.command("override")(approvals.override)
app.command("audit")(audit.audit)
app.command("repair")(repair.repair)
app.command("rollback")(rollout.rollback)
app.add_typer(requests.app, name="requests")
app.add_typer(rollout.app, name="rollout")
app.add_typer(alerts.app, name="alerts")
app.add_typer(keys.app, name="keys")
app.command("retention")(retention.retention)
app.command("pin")(retention.pin)
app.command("unpin")(retention.unpin)
app.add_typer(serve.app, name="serve")
app.add_typer(hooks.app, name="hooks")
app.command("pull")(pull.pull)
app.command("land")(land.land)
app.command("register")(register.register)
app.command("doctor")(doctor.doctor)
app.command("init")(init.init)
