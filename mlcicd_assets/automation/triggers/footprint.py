"""Which files a model is made by: its own folder, its data's folders, and the code that they use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from mlcicd_assets.automation.blueprint import DATA_STAGES, MODEL_STAGES
from mlcicd_assets.automation.triggers.globs import matches
from mlcicd_assets.ml.catalogue import Catalogue, DataLane, ModelLane
from mlcicd_assets.ml.code.code_graph import reading
from mlcicd_assets.ml.code.code_versions import data_code, framework_code, model_code

_PACKAGE = Path(__file__).parents[2]
_PROSE = (".md", ".rst", ".txt")  # in a model's folder these are read by people


@dataclass(frozen=True)
class Footprint:
    """Folders and files from the repository's top, or the patterns that were declared instead."""

    folders: tuple[str, ...] = ()  # each with a slash behind it
    files: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    def touched(self, changed: Iterable[str]) -> list[str]:
        """Those of the changed files that concern the model."""
        return [file for file in changed if self._counts(file)]

    def _counts(self, file: str) -> bool:
        if self.patterns:
            return matches(self.patterns, file)
        return file in self.files or (file.startswith(self.folders) and not file.endswith(_PROSE))


def footprint(catalogue: Catalogue, lane: ModelLane, top: Path, project: str = "") -> Footprint:
    """Of one model; `top` is the project's folder, `project` its name in the repository ('' or 'ml/').

    What an unread new file brings is brought by a file that is used already, so code as it stands will do.
    Raises FingerprintError.
    """
    declared = lane.model.retrain.paths if lane.model.retrain else []
    if declared:
        return Footprint(patterns=tuple(declared))
    data = list(_data(catalogue, lane.data))
    folders = [lane.folder, *(one.folder for one in data)]
    with reading() as reached:
        for stage in MODEL_STAGES:
            model_code(lane, stage)
        for one, stage in product(data, DATA_STAGES):
            data_code(one, stage)
    framework = {_PACKAGE / name for stage in (*DATA_STAGES, *MODEL_STAGES) for name in framework_code(stage)}
    return Footprint(
        folders=tuple(f"{name}/" for name in _named(folders, top, project)),
        files=frozenset(_named(reached | framework, top, project)),
    )


def footprints(
    catalogue: Catalogue, models: Sequence[str], top: Path, project: str = ""
) -> Mapping[str, Footprint]:
    """Of each model."""
    return {name: footprint(catalogue, catalogue.models[name], top, project) for name in models}


def _data(catalogue: Catalogue, lane: DataLane) -> Iterator[DataLane]:
    """The dataset, what its features join and what its contract compares with."""
    others = {target.split(".")[0] for target in lane.dataset.references.values()}
    yield lane
    for name in sorted({*others, *lane.dataset.lookups} - {lane.dataset.name}):
        if name in catalogue.datasets:
            yield catalogue.datasets[name]


def _named(paths: Iterable[Path], top: Path, project: str) -> list[str]:
    """From the repository's top; what lies elsewhere, as an installed package does, has no commits here."""
    return [
        f"{project}{path.relative_to(top).as_posix()}" for path in sorted(paths) if path.is_relative_to(top)
    ]
