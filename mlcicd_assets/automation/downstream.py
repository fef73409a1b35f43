"""What follows from an asset, and what a piece of code is part of."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint


def downstream(blueprint: Blueprint, asset: str) -> list[str]:
    """Every asset that is made of this one, in the order data flows; without the asset itself."""
    found: dict[str, None] = {}
    ahead = [asset]
    while ahead:
        below = [name for one in ahead for name in _next(blueprint, one) if name not in found]
        found |= dict.fromkeys(below)
        ahead = below
    return list(found)


def _next(blueprint: Blueprint, asset: str) -> Iterable[str]:
    owner, stage = asset.split("/")
    if owner in blueprint.models:
        position = MODEL_STAGES.index(stage) if stage in MODEL_STAGES else len(MODEL_STAGES)
        yield from (f"{owner}/{later}" for later in MODEL_STAGES[position + 1 : position + 2])
        return
    stages = blueprint.datasets[owner].stages
    yield from (f"{owner}/{later}" for later in stages[stages.index(stage) + 1 :][:1])
    if stage == "validated_data":
        for name, other in blueprint.datasets.items():
            if owner in other.references:
                yield f"{name}/validated_data"
            if owner in other.lookups:
                yield f"{name}/features"
    if stage == "features":
        yield from (f"{model}/{MODEL_STAGES[0]}" for model, data in blueprint.models.items() if data == owner)


def made_by(blueprint: Blueprint, code: str) -> dict[str, list[str]]:
    """The assets that use a file, or one definition of it (`features.py:features`), and which parts of it."""
    file, _, name = code.partition(":")
    wanted = PurePosixPath(file).parts
    found: dict[str, list[str]] = {}
    for asset, made in blueprint.codes.items():
        for part in made.parts:
            path, _, definition = part.partition(":")
            known = PurePosixPath(path).parts
            shorter = min(len(wanted), len(known))
            # A framework's file counts as a whole: its definitions are not kept apart.
            if known[-shorter:] == wanted[-shorter:] and (not name or definition in {name, ""}):
                found.setdefault(asset, []).append(part)
    return found
