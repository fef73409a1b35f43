"""What staleness is decided from besides records and files: the declared graph, and the code as it stands.

Small and plain, so that it can be kept between two commands: reading declarations and code takes longer than
deciding. A kept blueprint counts only while every file that it was made of is the same.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcicd_assets.codebase.areas import CodeShape
from mlcicd_assets.ml.code.asset_code import AssetCode

if TYPE_CHECKING:
    from mlcicd_assets.ml.catalogue import Catalogue, DataLane
    from mlcicd_assets.ml.declarations import ModelDeclaration

DATA_STAGES = ("raw_data", "validated_data", "features")
# monitoring_report looks at live traffic: it is never fresh, so it is never stale.
MODEL_STAGES = (
    "trained_model",
    "evaluation_report",
    "registered_model",
    "staging_deployment",
    "deployment",
)
DEFS = Path(__file__).parents[1] / "defs"


@dataclass(frozen=True)
class DatasetShape:
    """What of a dataset's declaration decides which partitions there are and what they are made of."""

    name: str
    partitions: str
    start: str | None  # ISO 8601 date
    files: str  # the template of what lands; empty where records are asked for
    source: str  # how people call where they come from
    stages: tuple[str, ...]
    references: tuple[str, ...]  # datasets that validated_data compares with
    lookups: tuple[str, ...]  # datasets that features join
    # For sql: the query that tells of each partition whether it changed, and where it is asked.
    watermark: str = ""
    url_env: str = ""

    @classmethod
    def parse(cls, text: Mapping[str, Any]) -> "DatasetShape":
        """From JSON values, where tuples are lists."""
        values = dict(text)
        values |= {name: tuple(values[name]) for name in ("stages", "references", "lookups")}
        return cls(**values)

    def table(self, stage: str) -> str:
        """The asset of a stage: `flights/raw_data`."""
        return f"{self.name}/{stage}"


@dataclass(frozen=True)
class Blueprint:
    """Datasets by name, each model's dataset, and each asset's code."""

    datasets: Mapping[str, DatasetShape]
    models: Mapping[str, str]
    codes: Mapping[str, AssetCode]
    # Of each model what decides on requests: owner, retrain and rates, as JSON values.
    retrain: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    code: CodeShape | None = None  # what the code lane looks at; None where no code base is declared

    @classmethod
    def of(cls, catalogue: "Catalogue") -> "Blueprint":
        """From the declarations and code as they stand; raises FingerprintError."""
        return cls(
            {name: shape_of(lane) for name, lane in catalogue.datasets.items()},
            {name: lane.data.dataset.name for name, lane in catalogue.models.items()},
            current_codes(catalogue),
            {name: retraining(lane.model) for name, lane in catalogue.models.items()},
            CodeShape.of(catalogue.code) if catalogue.code else None,
        )

    def text(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def parse(cls, text: Mapping[str, Any]) -> "Blueprint":
        """Undo `text`; raises TypeError or KeyError for another format."""
        datasets = {name: DatasetShape.parse(shape) for name, shape in text["datasets"].items()}
        codes = {asset: AssetCode(**code) for asset, code in text["codes"].items()}
        code = CodeShape.parse(text["code"]) if text["code"] else None
        return cls(datasets, text["models"], codes, text["retrain"], code)


def current_codes(catalogue: "Catalogue") -> dict[str, AssetCode]:
    """The code of every asset as the files stand now; raises FingerprintError."""
    from mlcicd_assets.ml.code.code_versions import data_code, model_code

    codes = {
        lane.table(stage): data_code(lane, stage)
        for lane in catalogue.datasets.values()
        for stage in _stages(lane)
    }
    for name, model in catalogue.models.items():
        codes |= {f"{name}/{stage}": model_code(model, stage) for stage in MODEL_STAGES}
    return codes


def _stages(lane: "DataLane") -> tuple[str, ...]:
    return DATA_STAGES if lane.dataset.features else DATA_STAGES[:2]


def shape_of(lane: "DataLane") -> DatasetShape:
    """What of a dataset's declaration decides on its partitions."""
    dataset = lane.dataset
    return DatasetShape(
        name=dataset.name,
        partitions=dataset.partitions,
        start=dataset.start.isoformat() if dataset.start else None,
        files=dataset.source.files,
        source=str(getattr(dataset.source, "named", dataset.source.files)),
        stages=_stages(lane),
        references=tuple(sorted({target.split(".")[0] for target in dataset.references.values()})),
        lookups=tuple(dataset.lookups),
        watermark=getattr(dataset.source, "watermark", ""),
        url_env=getattr(dataset.source, "url_env", ""),
    )


def retraining(model: "ModelDeclaration") -> dict[str, Any]:
    """What of a model's declaration decides on requests, as JSON values."""
    dumped = model.model_dump(mode="json", include={"owner", "retrain", "rates"})
    return {name: value for name, value in dumped.items() if value is not None}


def load_blueprint(kept: Path, defs: Path = DEFS) -> Blueprint:
    """The kept blueprint where no file changed since; else a new one, kept. Raises as `load_all` does."""
    found = _read(kept, defs)
    if found:
        return found
    from mlcicd_assets.ml.catalogue import load_all
    from mlcicd_assets.ml.code.code_graph import reading

    with reading() as reached:
        blueprint = Blueprint.of(load_all(defs))
    _keep(kept, defs, blueprint, reached)
    return blueprint


def _read(kept: Path, defs: Path) -> Blueprint | None:
    try:
        text = json.loads(kept.read_text())
        same = text["of"] == [sys.version, str(defs)] and all(
            _signature(path) == signed for path, signed in text["files"].items()
        )
        return Blueprint.parse(text["blueprint"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):  # none yet, damaged, or of another version
        return None


def _keep(kept: Path, defs: Path, blueprint: Blueprint, reached: Iterable[Path]) -> None:
    import time
    from contextlib import suppress

    package = Path(__file__).parents[1]
    declared = [path for path in defs.rglob("*") if path.is_dir() or path.name == "defs.yaml"]
    files = {defs, *declared, *reached, *(path.parent for path in reached)}
    files |= {*(package / "ml").rglob("*.py"), *(package / "automation").glob("*.py")}
    files |= {*(package / "codebase").glob("*.py")}
    signed = {str(path): _signature(str(path)) for path in files}
    newest = max((max(one[1], one[2]) for one in signed.values() if one), default=0)
    if time.time_ns() - newest < _GRAIN_NS:
        return  # changed a moment ago: a further change may not show in the times
    kept.parent.mkdir(parents=True, exist_ok=True)
    text = {"of": [sys.version, str(defs)], "files": signed, "blueprint": blueprint.text()}
    scratch = kept.with_name(f".{kept.name}.{time.time_ns()}")
    with suppress(OSError):  # a home that cannot be written only costs time
        scratch.write_text(json.dumps(text))
        scratch.replace(kept)


_GRAIN_NS = 2_000_000_000


def _signature(path: str) -> list[int] | None:
    """Size and times of a file; the inode too, so that one that took its place is another."""
    import os

    try:
        stat = os.stat(path)  # noqa: PTH116  a Path for each of a hundred files takes longer than the rest
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
