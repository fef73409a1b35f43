"""`mlcicd rollout` and `mlcicd rollback`: where a rollout stands, and a person's hand on it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of
from mlcicd_assets.cli.signed import By, Reason

if TYPE_CHECKING:
    from mlcicd_assets.assets.rollouts.driver import Rollouts
    from mlcicd_assets.release.rollout import State

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show or steer a rollout.")

Model = Annotated[str, typer.Argument(help="A declared model.")]

_PATIENCE_S = 180.0


@app.command("status")
def show(context: typer.Context, model: Model, as_json: Json = False) -> None:
    """Show weights, step, the analysis with its numbers, and the time that is left."""
    session = session_of(context)
    report = rollout_report(session, model)
    if as_json:
        print_json(report)
        return
    if report is None:
        typer.echo(f"{model}: there has been no rollout yet")
        return
    for line in rollout_lines(report):
        typer.echo(line)
    if report["findings"]:
        columns = list(report["findings"][0])
        console().print(table("", columns, [list(one.values()) for one in report["findings"]]))


@app.command()
def advance(
    context: typer.Context,
    model: Model,
    wait: Annotated[bool, typer.Option("--wait", help="Until it ends or is held.")] = False,
    as_json: Json = False,
) -> None:
    """Do the next step, if its time has come; what the sensor 'rollouts' does by itself."""
    rollouts = rollouts_of(session_of(context), model)
    if rollouts.active() is None:
        _tell(rollouts, rollouts.state(), as_json)
        return
    _tell(rollouts, rollouts.run(patience_s=10 * 86_400) if wait else rollouts.advance(), as_json)


@app.command()
def pause(context: typer.Context, model: Model, by: By, reason: Reason, as_json: Json = False) -> None:
    """Keep the weights as they are; a failing version is taken back all the same."""
    _steer(context, model, as_json, lambda one: one.pause(by=by, reason=reason))


@app.command()
def resume(context: typer.Context, model: Model, by: By, reason: Reason, as_json: Json = False) -> None:
    """Go on after a hold: the step begins anew."""
    _steer(context, model, as_json, lambda one: one.resume(by=by, reason=reason))


@app.command()
def abort(context: typer.Context, model: Model, by: By, reason: Reason, as_json: Json = False) -> None:
    """Give all traffic back to the version that served before."""
    _steer(context, model, as_json, lambda one: one.abort(by=by, reason=reason))


@app.command()
def retry(context: typer.Context, model: Model, by: By, reason: Reason) -> None:
    """Allow one more rollout of a version that was rolled back."""
    version = rollouts_of(session_of(context), model).retry(by=by, reason=reason)
    typer.echo(
        f"{model}: version {version} may be rolled out once more; "
        f"release it with: dagster asset materialize --select 'key:\"{model}/deployment\"'"
    )


def rollback(
    context: typer.Context,
    model: Model,
    by: By,
    reason: Reason,
    to: Annotated[int | None, typer.Option("--to", min=1, help="The one before by default.")] = None,
    as_json: Json = False,
) -> None:
    """Give the traffic back to an earlier version that still verifies."""
    from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
    from mlcicd_assets.release.envelope import Refused

    rollouts = rollouts_of(session_of(context), model)
    asked = ask_rollback(rollouts, to, by=by, reason=reason)
    if asked is None:
        _nothing_to_do(rollouts, as_json)
        return
    state = rollouts.run(patience_s=_PATIENCE_S)
    _tell(rollouts, state, as_json)
    if state.phase != "rolled_back":
        raise Refused(f"{rollouts.describe(state)}; go on with: mlcicd rollout resume {model}")


def _nothing_to_do(rollouts: "Rollouts", as_json: bool) -> None:
    champion = rollouts.actions.champion()
    if as_json:
        print_json({"model": rollouts.model, "champion": champion, "rollout": "nothing to do"})
        return
    typer.echo(
        f"{rollouts.model}: version {champion} is champion already; to go further back, name a version: --to"
    )


def _steer(context: typer.Context, model: str, as_json: bool, does: "Callable[[Rollouts], State]") -> None:
    rollouts = rollouts_of(session_of(context), model)
    does(rollouts)
    _tell(rollouts, rollouts.run(patience_s=_PATIENCE_S, until=lambda state: not state.pending), as_json)


def _tell(rollouts: "Rollouts", state: "State | None", as_json: bool) -> None:
    if as_json:
        print_json(_report(rollouts, state))
        return
    champion = rollouts.actions.champion()
    told = rollouts.describe(state) if state else f"{rollouts.model}: there has been no rollout yet"
    typer.echo(told)
    typer.echo(f"champion: {f'version {champion}' if champion else 'none yet'}")


def rollouts_of(session: Session, model: str) -> "Rollouts":
    """The rollouts of a declared model; raises typer.BadParameter."""
    from mlcicd_assets.assets.rollouts.actions import World
    from mlcicd_assets.assets.rollouts.driver import Rollouts

    doors = (session.ledger, session.registry, session.tracking, session.keys, session.serving)
    world = World(*doors, predictions=session.predictions, lake=session.lake)
    return Rollouts(session.model(model), world)


def rollout_report(session: Session, model: str) -> dict[str, Any] | None:
    """Where the last rollout stands, as plain data; None before the first."""
    rollouts = rollouts_of(session, model)
    return _report(rollouts, rollouts.state())


def _report(rollouts: "Rollouts", state: "State | None") -> dict[str, Any] | None:
    from mlcicd_assets.release.rollout import left_s, wanted
    from mlcicd_assets.reports.rollout import rows

    if state is None:
        return None
    shares = wanted(state, rollouts.actions.champion())
    step = state.current
    return {
        "id": state.id,
        "kind": state.kind,
        "version": state.target.version,
        "stable": state.stable.version if state.stable else None,
        "phase": state.phase,
        "told": rollouts.describe(state),
        "step": f"{state.step + 1} of {len(state.plan.steps) + 1}: {step}" if step else None,
        "weights": {str(one): share for one, share in shares.weights.items()} if shares else {},
        "mirror": {str(shares.mirror[0]): shares.mirror[1]} if shares and shares.mirror else {},
        "left_s": left_s(state, rollouts.clock()),
        "pending": [str(action) for action in state.pending],
        "failures": state.failures,
        "errors": state.errors,
        "analysis": state.analysis.outcome if state.analysis else None,
        "findings": rows(state.analysis),
        "reason": state.reason,
        "by": state.actor,
    }


def rollout_lines(report: dict[str, Any]) -> list[str]:
    """The same for people."""
    shares = ", ".join(f"version {version} {share} %" for version, share in report["weights"].items())
    copies = "".join(f", {percent} % copied to version {one}" for one, percent in report["mirror"].items())
    lines = [report["told"].split(": ", 1)[1]]
    if report["phase"] not in {"promoted", "rolled_back"}:
        lines.append(f"traffic: {shares or 'none'}{copies}")
        if report["left_s"] is not None:
            lines.append(f"time left: at least {report['left_s']:.0f} s")
    if report["analysis"]:
        lines.append(f"analysis: {report['analysis']}, {report['failures']} failed measurements")
    return lines
