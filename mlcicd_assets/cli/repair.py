"""`mlcicd repair`: MLflow's aliases and tags follow the ledger again."""

from typing import Annotated

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of


def repair(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="One model; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Put aliases and lifecycle tags back where the ledger says."""
    session = session_of(context)
    names = [session.model(model).model.name] if model else list(session.catalogue.models)
    done = [line for name in names for line in mend(session, name)]
    if as_json:
        print_json({"repaired": done})
        return
    for line in done or ["every alias stands where the ledger says"]:
        typer.echo(line)


def mend(session: Session, model: str) -> list[str]:
    """Make one model's aliases follow; says what had stood elsewhere."""
    from mlcicd_assets.assets.lifecycle import mirror

    return [f"{one}; put back" for one in mirror(session.ledger, session.registry, model, "mlcicd repair")]
