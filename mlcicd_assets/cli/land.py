"""`mlcicd land`: plays the upstream system of a dataset that declares one, for demonstrations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.ml.declarations import DatasetDeclaration


def land(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="A declared dataset with an 'upstream'.")],
    until: Annotated[str | None, typer.Option("--until", help="The last partition.")] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="The first partition; the dataset's start by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Let files land as a dataset's upstream would."""
    session = session_of(context)
    files = land_files(session, dataset, partitions_between(session.dataset(dataset).dataset, first, until))
    if as_json:
        print_json([str(file) for file in files])
        return
    for file in files:
        typer.echo(str(file))


def partitions_between(dataset: "DatasetDeclaration", first: str | None, last: str | None) -> list[str]:
    """The partition keys from first to last, both included; empty where the dataset has no partitions."""
    from mlcicd_assets.ml.periods import FORMATS, end_of, start_of

    kind = dataset.partitions
    if kind == "dynamic":  # keys in no order: those that are named
        return list(dict.fromkeys(key for key in (first, last) if key))
    if kind == "none" or dataset.start is None:
        if first or last:
            raise typer.BadParameter(f"{dataset.name} has no partitions: leave out --from and --until")
        return []
    if last is None:
        raise typer.BadParameter(f"{dataset.name} has {kind} partitions: say which is the last with --until")
    try:
        key, end = first or dataset.start.strftime(FORMATS[kind]), start_of(kind, last)
        keys = []
        while start_of(kind, key) <= end:
            keys.append(key)
            key = end_of(kind, key).strftime(FORMATS[kind])
    except ValueError as error:
        example = dataset.start.strftime(FORMATS[kind])
        raise typer.BadParameter(f"a partition of {dataset.name} reads like {example}: {error}") from error
    if not keys:
        raise typer.BadParameter(f"--until {last} is before --from {key}")
    return keys


def land_files(session: Session, name: str, partitions: list[str]) -> list[Path]:
    """Call the dataset's upstream function; raises ResourceError where none is declared, or it fails."""
    from mlcicd_assets.ml.catalogue import read_reference
    from mlcicd_assets.ml.user_code import load_function
    from resources.protocols import ResourceError

    lane = session.dataset(name)
    if lane.dataset.upstream is None:
        source = lane.dataset.source
        where = session.landing.root / source.files if source.files else source.named
        raise ResourceError(f"{name} declares no 'upstream' to play: put its files into {where} yourself")
    function = load_function(*read_reference(lane.folder, lane.dataset.upstream))
    try:
        landed: list[Path] = function(session.landing.root, partitions)
    except (ValueError, OSError) as error:
        raise ResourceError(f"{name}: its upstream {lane.dataset.upstream} failed: {error}") from error
    return landed
