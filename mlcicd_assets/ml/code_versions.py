"""Each asset's code version: the content of the code and declarations that its result depends on.

Comments, docstrings and formatting do not count. A changed gate changes `evaluation_report`, so that a new
threshold is checked again (asset checks have no code version of their own).
"""

from collections.abc import Iterable
from pathlib import Path

from mlcicd_assets.ml.catalogue import DataLane, ModelLane, read_reference
from mlcicd_assets.ml.fingerprint import combine, python_fingerprint, value_fingerprint

_HERE = Path(__file__).parent

_DATA_FIELDS = {
    "raw_data": {"source"},
    "validated_data": {"contract", "keys", "label", "references"},
    "features": {"features", "keys", "time", "label", "protected", "after_event", "lookups"},
}
_MODEL_FIELDS = {
    "trained_model": {"dataset", "estimator", "train", "holdout", "threshold", "seed"},
    "evaluation_report": {"gates", "champion", "risk", "threshold"},
    "registered_model": set(),
    "staging_deployment": set(),
    "deployment": {"rollout", "risk"},
    "monitoring_report": set(),
}
_MODULES = {
    "raw_data": [],
    "validated_data": ["contracts", "contract_schema", "contract_failures", "labels"],
    "features": ["features", "labels", "feature_table"],
    "trained_model": ["splits", "training", "onnx_export", "package", "features"],
    "evaluation_report": ["evaluation", "metrics", "gates", "scoring"],
}


def data_stage(lane: DataLane, stage: str) -> str:
    """The code version of a dataset's stage."""
    declared = lane.dataset.model_dump(mode="json", include=_DATA_FIELDS[stage])
    files = {"validated_data": [lane.dataset.contract], "features": [lane.dataset.features]}.get(stage, [])
    return _code(lane.folder, [file for file in files if file], stage, declared)


def model_stage(lane: ModelLane, stage: str) -> str:
    """The code version of a model's stage."""
    declared = lane.model.model_dump(mode="json", include=_MODEL_FIELDS[stage])
    files = [lane.model.estimator] if stage == "trained_model" else []
    return _code(lane.folder, files, stage, declared)


def _code(folder: Path, references: Iterable[str], stage: str, declared: object) -> str:
    users = [read_reference(folder, reference)[0] for reference in references]
    ours = [_HERE / f"{module}.py" for module in _MODULES.get(stage, [])]
    parts = [python_fingerprint(path) for path in [*users, *ours]]
    return combine([*parts, value_fingerprint(declared)])[:16]
