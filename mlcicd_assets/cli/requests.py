"""`mlcicd requests`: what was asked for, why it waits or how it ended; asking for a run; budgets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of
from mlcicd_assets.cli.signed import By, Reason

if TYPE_CHECKING:
    from mlcicd_assets.automation.requests.policy import Policy
    from mlcicd_assets.ml.budget import Spending
    from resources.protocols import KeptRequest

app = typer.Typer(rich_markup_mode=None, help="Requests for runs: what waits, why, and what became of it.")

_NEWEST = 1000
_ENDED = 10  # that are shown beside what waits


@app.callback(invoke_without_command=True)
def requests(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="The newest 1000, ended ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Show what waits or is being answered, and the last that ended."""
    if context.invoked_subcommand is not None:
        return
    session = session_of(context)
    newest = session.requests.history(_NEWEST)
    if not everything:
        waiting = {one.id: one for one in [*session.requests.pending(), *session.requests.dispatched()]}
        ended = [one for one in newest if one.id not in waiting and one.state != "merged"][:_ENDED]
        newest = sorted([*waiting.values(), *ended], key=lambda one: -one.id)
    if as_json:
        print_json([plain(one) for one in newest])
    else:
        _show(newest)


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A declared model or dataset.")],
    by: By,
    reason: Reason,
    cause: Annotated[
        Literal["manual", "hotfix", "rollback"],
        typer.Option("--cause", help="A hotfix comes before other requests; a rollback waits for nothing."),
    ] = "manual",
    force: Annotated[
        bool, typer.Option("--force", help="Run the model's lane although nothing is stale.")
    ] = False,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Of a rollback: back to this version.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask for a run of a model's or a dataset's lane, or for a rollback."""
    from uuid import uuid4

    from resources.protocols import Request

    session = session_of(context)
    scope = _scope(session, name)
    if not scope.startswith("model:") and (force or cause == "rollback"):
        what = "--force" if force else "--cause rollback"
        raise typer.BadParameter(f"{what} is of a model; {name} is a dataset")
    if version is not None and cause != "rollback":
        raise typer.BadParameter("--version is of --cause rollback")
    evidence = {**({"force": True} if force else {}), **({"version": version} if version else {})}
    # Each time somebody asks is a request of its own; several that wait become one run.
    request = Request(scope, cause, uuid4().hex, reason, evidence, by=by)
    session.requests.add(request)
    kept = next(
        one for one in session.requests.history(_NEWEST) if one.request.fingerprint == request.fingerprint
    )
    if as_json:
        print_json(plain(kept))
        return
    typer.echo(f"request {kept.id}: {scope} ({cause}), asked for by {by}: {reason}")
    typer.echo(f"the sensor '{_sensor(cause)}' answers it while it is on; see: mlcicd requests")


@app.command()
def override(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A declared model.")],
    by: By,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Let a model's budget be exceeded until this month ends; it is written to the ledger."""
    from mlcicd_assets.automation.requests.budgets import MONTH
    from mlcicd_assets.automation.requests.budgets import override as let_pass

    session = session_of(context)
    policy = _policy(session, model)
    try:
        entry = let_pass(session.ledger, policy, session.now(), by=by, reason=reason)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        print_json({"model": model, "month": entry.details[MONTH], "by": by, "reason": reason})
        return
    typer.echo(
        f"OVERRIDE: {model} may exceed {policy.budget} in {entry.details[MONTH]}: {by}: {reason}", err=True
    )
    typer.echo(f"what was refused is asked for anew: mlcicd requests add {model} --by {by!r} --reason WHY")


@app.command()
def budgets(context: typer.Context, as_json: Json = False) -> None:
    """Show what each model's trainings have cost this month, of its budget."""
    from mlcicd_assets.automation.requests.budgets import spent_by

    session = session_of(context)
    found = [
        (model, spent)
        for model in session.catalogue.models
        if (spent := spent_by(_policy(session, model), session.ledger.entries(model), session.now()))
    ]
    if as_json:
        print_json([_spending(model, spent) for model, spent in found])
    elif not found:
        typer.echo("no model declares 'retrain.budget'")
    else:
        columns = ["model", "month", "spent", "budget", "", "override"]
        rows = [
            [
                model,
                spent.month,
                spent.budget.shown(spent.spent),
                spent.budget,
                f"{spent.share:.0%} {spent.level}",
                spent.overridden,
            ]
            for model, spent in found
        ]
        console().print(table("", columns, rows))


def plain(kept: "KeptRequest") -> dict[str, Any]:
    """A request as JSON values."""
    from dataclasses import asdict

    values = asdict(kept)
    return {"id": values.pop("id"), **values.pop("request"), **values}


def _spending(model: str, spent: "Spending") -> dict[str, Any]:
    return {
        "model": model,
        "month": spent.month,
        "spent": spent.spent,
        "budget": spent.budget.amount,
        "unit": spent.budget.unit,
        "share": spent.share,
        "level": spent.level,
        "refusal": spent.refusal,
        "overridden": spent.overridden,
    }


def _show(found: "Sequence[KeptRequest]") -> None:
    if not found:
        typer.echo("nothing was asked for")
        return
    columns = ["id", "state", "scope", "cause", "asked for because", "answer", "by", "at (UTC)", "run"]
    rows = [
        [
            one.id,
            one.state,
            one.request.scope,
            one.request.cause,
            one.request.reason,
            one.answer or f"waits for the sensor '{_sensor(one.request.cause)}'",
            one.request.by,
            one.at[:16].replace("T", " "),
            one.run[:8],
        ]
        for one in found
    ]
    console().print(table("", columns, rows))


def _sensor(cause: str) -> str:
    return "rollback_requests" if cause == "rollback" else "requests"


def _scope(session: Session, name: str) -> str:
    catalogue = session.catalogue
    if name in catalogue.models:
        return f"model:{name}"
    if name in catalogue.datasets:
        return f"dataset:{name}"
    declared = ", ".join(sorted([*catalogue.models, *catalogue.datasets])) or "none"
    raise typer.BadParameter(f"there is no model or dataset {name!r}; declared are: {declared}")


def _policy(session: Session, model: str) -> "Policy":
    from mlcicd_assets.automation.blueprint import retraining
    from mlcicd_assets.automation.requests.policy import Policy

    return Policy.of(model, retraining(session.model(model).model))
