"""Each asset's code version: the content of the code and declarations that its result depends on.

Comments, docstrings and formatting do not count, nor does code that the asset does not use. A changed gate
changes `evaluation_report`, so that a new threshold is checked again (asset checks have no code version).
"""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlcicd_assets.ml.catalogue import DataLane, ModelLane, read_reference
from mlcicd_assets.ml.code.asset_code import AssetCode
from mlcicd_assets.ml.code.code_graph import used_code
from mlcicd_assets.ml.code.kept_fingerprints import kept
from mlcicd_assets.ml.fingerprint import combine

_HERE = Path(__file__).parents[1]
# Declarations count by their values, as parameters.
_BY_VALUE = frozenset(_HERE / name for name in ("declarations.py", "declared.py", "catalogue.py"))

# Asset checks have no code version of their own: what they ask is part of what they look at.
_CHECKS = {"checks", "hard_checks", "exceptions", "minimum_history"}
_DATA_FIELDS = {
    "raw_data": {"source"},
    "validated_data": {"contract", "keys", "time", "label", "references", "freshness", *_CHECKS},
    "features": {
        "features",
        "keys",
        "time",
        "label",
        "protected",
        "after_event",
        "lookups",
        "not_leaking",
        *_CHECKS,
    },
}
# It says when to look, not what comes.
_NOT_MADE_OF = {"source": {"watermark"}}
_MODEL_FIELDS = {
    "trained_model": {
        "dataset",
        "task",
        "estimator",
        "train",
        "holdout",
        "threshold",
        "imbalance",
        "seed",
        "tune",
        "trusted_types",
    },
    "evaluation_report": {
        "gates",
        "champion",
        "fairness",
        "slices",
        "robustness",
        "risk",
        "approval",
        "threshold",
        "costs",
        "serving",
        "rates",
        "card",
        "reproducible",
    },
    "registered_model": set(),
    "staging_deployment": {"serving", "log"},
    "deployment": {"rollout", "risk", "approval", "log"},
    "monitoring_report": {"monitor", "log"},
}
# When a training is repeated says nothing of what comes out.
_WITHIN = {"reproducible": {"gate", "sample", "tolerance"}}
# The functions of the framework that make a stage's result.
ENTRIES = {
    "validated_data": [
        "data/contracts.py:conform",
        "data/contracts.py:examine",
        "data/partition_statistics.py:summarise",
    ],
    "features": [
        "data/features.py:compute_features",
        "data/feature_table.py:assemble",
        "data/partition_statistics.py:distributions",
    ],
    "trained_model": [
        "training/splits.py:choose_windows",
        "training/splits.py:rows_of",
        "training/fitting.py:new_estimator",
        "training/fitting.py:train",
        "training/tuning.py:tune",
        "training/trial_worker.py:evaluate",
        "artifact/packaging.py:package_model",
    ],
    "evaluation_report": ["evaluation/evaluate.py:evaluate", "evaluation/gates.py:decide"],
}


def data_code(lane: DataLane, stage: str) -> AssetCode:
    """The code of a dataset's stage; raises FingerprintError."""
    declared = lane.dataset.model_dump(mode="json", include=_DATA_FIELDS[stage], exclude=_NOT_MADE_OF)
    dataset = lane.dataset
    named = {
        "raw_data": getattr(dataset.source, "python", None),
        "validated_data": dataset.contract,
        "features": dataset.features,
    }
    files = [named.get(stage)]
    return _code(lane.folder, [file for file in files if file], stage, declared)


def model_code(lane: ModelLane, stage: str) -> AssetCode:
    """The code of a model's stage; raises FingerprintError."""
    fields = {name: _WITHIN.get(name, True) for name in _MODEL_FIELDS[stage]}
    declared = lane.model.model_dump(mode="json", include=fields)
    files = lane.model.references if stage == "trained_model" else []
    return _code(lane.folder, files, stage, declared)


def data_stage(lane: DataLane, stage: str) -> str:
    """The code version of a dataset's stage; raises FingerprintError."""
    return data_code(lane, stage).version


def model_stage(lane: ModelLane, stage: str) -> str:
    """The code version of a model's stage; raises FingerprintError."""
    return model_code(lane, stage).version


def _code(folder: Path, references: Iterable[str], stage: str, declared: dict[str, Any]) -> AssetCode:
    used = used_code([read_reference(folder, reference) for reference in references], stop=_BY_VALUE)
    parts = {name: fingerprint[:16] for name, fingerprint in used.items()}
    return AssetCode({**parts, **framework_code(stage)}, dict(_flat(declared)))


def framework_code(stage: str) -> dict[str, str]:
    """What a stage uses of each of the framework's files: "ml/training/fitting.py" -> fingerprint."""
    return _framework().get(stage, {})


@lru_cache  # what a process has loaded is what it runs
def _framework() -> dict[str, dict[str, str]]:
    return kept(
        _HERE.parent, lambda: {stage: _framework_files(entries) for stage, entries in ENTRIES.items()}
    )


def _framework_files(references: Iterable[str]) -> dict[str, str]:
    files: dict[str, list[str]] = {}
    entries = [read_reference(_HERE, entry) for entry in references]
    for name, fingerprint in used_code(entries, stop=_BY_VALUE, base=_HERE.parent).items():
        files.setdefault(name.partition(":")[0], []).append(fingerprint)
    return {file: combine(fingerprints)[:16] for file, fingerprints in files.items()}


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """`{"gates": {"roc_auc": ">= 0.7"}}` as `gates.roc_auc`: `>= 0.7`; whatever the order of keys."""
    for name, found in sorted(value.items()):
        if isinstance(found, dict) and found:
            yield from _flat(found, f"{before}{name}.")
        else:
            text = found if isinstance(found, str) else json.dumps(found, sort_keys=True)
            yield f"{before}{name}", text
