"""`mlcicd impact`: what a feature, a raw column, a file, a dataset or a model is part of."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint
from mlcicd_assets.automation.downstream import downstream, made_by
from mlcicd_assets.cli.assessment import blueprint_of
from mlcicd_assets.cli.output import Json, console, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    import polars as pl
    from rich.tree import Tree

    from mlcicd_assets.ml.catalogue import DataLane


@dataclass(frozen=True)
class Impact:
    """What one thing is part of."""

    name: str
    kind: str  # "dataset", "model", "file", "feature" or "column"
    assets: dict[str, str]  # asset -> how it is concerned
    models: list[str]
    features: dict[str, list[str]] = field(default_factory=dict)  # concerned feature -> its raw columns
    served: dict[str, bool] = field(default_factory=dict)  # model -> whether its champion takes this column


def impact(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="A feature, a raw column, 'flights.distance', a file, 'file.py:name', a dataset or a model."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Say which assets and models a change would concern."""
    session = session_of(context)
    found = list(impacts(session, name))
    if not found:
        known = ", ".join(sorted([*session.catalogue.datasets, *session.catalogue.models]))
        raise typer.BadParameter(
            f"{name!r} is no feature, column or file that an asset uses, nor one of: {known}; "
            "columns are known once validated_data is materialized"
        )
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        console().print(_tree(one))


def impacts(session: Session, name: str) -> Iterator[Impact]:
    """Everything that goes by this name; raises DeclarationError, or what a features function raises."""
    blueprint = blueprint_of(session)
    if name in blueprint.datasets:
        stages = blueprint.datasets[name].stages
        yield _impact(blueprint, name, "dataset", {f"{name}/{stages[0]}": "is where its records come in"})
    elif name in blueprint.models:
        yield _impact(blueprint, name, "model", {f"{name}/{MODEL_STAGES[0]}": "is trained from it"})
    elif used := made_by(blueprint, name):
        direct = {asset: f"uses {', '.join(parts)}" for asset, parts in used.items()}
        yield _impact(blueprint, name, "file", direct)
    elif Path(name.partition(":")[0]).suffix != ".py":
        yield from _columns(session, blueprint, name)


def _impact(blueprint: Blueprint, name: str, kind: str, direct: dict[str, str]) -> Impact:
    assets = dict(direct)
    for asset in direct:
        for below in downstream(blueprint, asset):
            assets.setdefault(below, f"is made of {asset}")
    models = [model for model in blueprint.models if any(a.split("/")[0] == model for a in assets)]
    return Impact(name, kind, assets, models)


def _columns(session: Session, blueprint: Blueprint, name: str) -> Iterator[Impact]:
    owner, _, column = name.rpartition(".")
    for lane in session.catalogue.datasets.values():
        dataset = lane.dataset.name
        schemas = _schemas(session, lane)
        if not schemas or not lane.dataset.features:
            continue
        lineage = _lineage(lane, schemas)
        if owner in {"", dataset} and column in lineage:
            direct = {f"{dataset}/features": f"has the column {column}"}
            made_of = {column: sorted(lineage[column])}
            yield _served(session, _impact(blueprint, name, "feature", direct), made_of, column)
            continue
        for table, schema in schemas.items():
            if column in schema.names() and owner in {"", table}:
                concerned = {f: sorted(raw) for f, raw in lineage.items() if f"{table}.{column}" in raw}
                told = f"makes {', '.join(concerned)} of {table}.{column}" if concerned else ""
                direct = {f"{table}/validated_data": f"holds {table}.{column} to its contract"}
                if concerned:
                    direct[f"{dataset}/features"] = told
                    found = _impact(blueprint, name, "column", direct)
                else:  # no feature is made of it: the contract alone
                    found = Impact(name, "column", direct, [])
                yield _served(session, found, concerned, column)


def _schemas(session: Session, lane: "DataLane") -> "dict[str, pl.Schema]":
    """The columns of the dataset and of its lookups; empty before they are there."""
    from resources.protocols import ResourceError

    names = [lane.dataset.name, *lane.dataset.lookups]
    try:
        found = {name: session.lake.scan(f"{name}/validated_data").collect_schema() for name in names}
    except ResourceError:  # nothing was materialized yet
        return {}
    return found


def _lineage(lane: "DataLane", schemas: "dict[str, pl.Schema]") -> dict[str, set[str]]:
    import polars as pl

    from mlcicd_assets.ml.catalogue import read_reference
    from mlcicd_assets.ml.lineage import column_lineage
    from mlcicd_assets.ml.user_code import load_function

    function = load_function(*read_reference(lane.folder, lane.dataset.features or ""))
    own = schemas[lane.dataset.name]
    visible = pl.Schema({name: own[name] for name in own.names() if name not in lane.dataset.hidden})
    return column_lineage(function, lane.dataset.name, {**schemas, lane.dataset.name: visible})


def _served(session: Session, found: Impact, features: dict[str, list[str]], column: str) -> Impact:
    """With what each champion's signature says of the column."""
    from mlcicd_assets.cli.proofs import champion_version, fetched, prove_package

    served: dict[str, bool] = {}
    for model in found.models:
        champion = champion_version(session.ledger, model)
        version = None if champion is None else session.registry.get(model, champion)
        if version is not None:
            with fetched(session, version) as package:
                signature = prove_package(package).signature
            names = signature.features if found.kind == "feature" else signature.inputs
            served[model] = column in {one.name for one in names}
    return Impact(found.name, found.kind, found.assets, found.models, features, served)


def _tree(found: Impact) -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(f"{found.kind} {found.name}", style="bold"))
    for feature, made_of in found.features.items():
        tree.add(Text(f"feature {feature} is made of {', '.join(made_of)}"))
    owners: dict[str, Tree] = {}
    for asset, why in found.assets.items():
        owner, stage = asset.split("/")
        if owner not in owners:
            owners[owner] = tree.add(Text(_owner(found, owner)))
        owners[owner].add(Text(f"{stage}: {why}"))
    return tree


def _owner(found: Impact, owner: str) -> str:
    if owner not in found.models:
        return f"dataset {owner}"
    if owner not in found.served:
        return f"model {owner}"
    return f"model {owner}, whose champion {'takes' if found.served[owner] else 'does not take'} it"
