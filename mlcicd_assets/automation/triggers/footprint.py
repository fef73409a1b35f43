"""Which files a model is made by: its own folder, its data's folders, and the code that they use."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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


def footprints(
    catalogue: Catalogue, models: Sequence[str], top: Path, project: str = ""
) -> dict[str, Footprint]:
    """Of each model; `top` is the project's folder, `project` its name in the repository ('' or 'ml/').

    What an unread new file brings is brought by a file that is used already, so code as it stands will do.
    Raises FingerprintError.
    """
    walk = _Walk(catalogue, top, project)
    return {name: walk.footprint(catalogue.models[name]) for name in models}


@dataclass(frozen=True)
class _Walk:
    """Follows each dataset's code once, however many models learn from it."""

    catalogue: Catalogue
    top: Path
    project: str
    known: dict[str, frozenset[str]] = field(default_factory=dict)  # dataset -> files

    def footprint(self, lane: ModelLane) -> Footprint:
        declared = lane.model.retrain.paths if lane.model.retrain else []
        if declared:
            return Footprint(patterns=tuple(declared))
        data = list(_data(self.catalogue, lane.data))
        with reading() as reached:
            for stage in MODEL_STAGES:
                model_code(lane, stage)
        return Footprint(
            folders=tuple(f"{name}/" for name in self._named([lane.folder, *(one.folder for one in data)])),
            files=self._framework.union(self._named(reached), *(self._files(one) for one in data)),
        )

    def _files(self, lane: DataLane) -> frozenset[str]:
        name = lane.dataset.name
        if name not in self.known:
            with reading() as reached:
                for stage in DATA_STAGES:
                    data_code(lane, stage)
            self.known[name] = frozenset(self._named(reached))
        return self.known[name]

    @cached_property
    def _framework(self) -> frozenset[str]:
        stages = (*DATA_STAGES, *MODEL_STAGES)
        return frozenset(self._named(_PACKAGE / name for stage in stages for name in framework_code(stage)))

    def _named(self, paths: Iterable[Path]) -> list[str]:
        """From the repository's top; what lies elsewhere (an installed package) has no commits here."""
        inside = (path.relative_to(self.top) for path in paths if path.is_relative_to(self.top))
        return [f"{self.project}{path.as_posix()}" for path in inside]


def _data(catalogue: Catalogue, lane: DataLane) -> Iterator[DataLane]:
    """The dataset, what its features join and what its contract compares with."""
    others = {target.split(".")[0] for target in lane.dataset.references.values()}
    yield lane
    for name in sorted({*others, *lane.dataset.lookups} - {lane.dataset.name}):
        if name in catalogue.datasets:
            yield catalogue.datasets[name]
