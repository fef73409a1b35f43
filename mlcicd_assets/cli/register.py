"""`mlcicd register`: makes keys of dynamic partitions known to Dagster, before they are used."""

from collections.abc import Iterable
from typing import Annotated

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of


def register(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="A declared dataset with dynamic partitions.")],
    keys: Annotated[list[str] | None, typer.Argument(help="Keys; by default all that have landed.")] = None,
    as_json: Json = False,
) -> None:
    """Register partitions of a dataset with dynamic partitions."""
    session = session_of(context)
    lane = session.dataset(dataset)
    if lane.dataset.partitions != "dynamic":
        raise typer.BadParameter(
            f"{dataset} has {lane.dataset.partitions} partitions: they need not be registered"
        )
    if not keys and not lane.dataset.source.files:
        raise typer.BadParameter(f"{dataset} comes from {lane.dataset.source.named}: name the keys")
    chosen = keys or session.landing.partitions(lane.dataset.source.files)
    new = register_keys(session, dataset, chosen)
    if as_json:
        print_json(new)
        return
    typer.echo(f"registered {len(new)} partition(s) of {dataset}" + (f": {', '.join(new)}" if new else ""))


def register_keys(session: Session, dataset: str, keys: Iterable[str]) -> list[str]:
    """Make keys known to this home's Dagster; returns those that were new."""
    import dagster as dg

    from mlcicd_assets.cli.init import dagster_home, first_open, prepare

    prepare(session)
    first_open(dagster_home(session))
    with dg.DagsterInstance.from_config(str(dagster_home(session))) as instance:
        known = set(instance.get_dynamic_partitions(dataset))
        new = [key for key in dict.fromkeys(keys) if key not in known]
        instance.add_dynamic_partitions(dataset, new)
    return new
