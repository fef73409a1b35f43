"""What every asset of a model shares."""

import time
from typing import Any

import dagster as dg

from mlcicd_assets.assets.recording import code_metadata, remember
from mlcicd_assets.codebase.areas import ASSET
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.code.code_versions import model_code
from resources.protocols import Records

STAGES = (
    "trained_model",
    "evaluation_report",
    "registered_model",
    "staging_deployment",
    "deployment",
    "monitoring_report",
)


def asset_options(lane: ModelLane, stage: str, kinds: set[str]) -> dict[str, Any]:
    """Key, group, owner, code version and tags of a stage; each stage depends on the one before."""
    model = lane.model.name
    position = STAGES.index(stage)
    code = model_code(lane, stage)
    before = [lane.data.dataset.name, "features"] if position == 0 else [model, STAGES[position - 1]]
    return {
        "key": [model, stage],
        "deps": [dg.AssetKey(before), *([dg.AssetKey([ASSET])] if position == 0 and lane.code else [])],
        "group_name": model,
        "owners": [lane.model.owner],
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "code_version": code.version,
        "metadata": code_metadata(code),
        "tags": {"lane": "model", "risk": lane.model.risk},
        "kinds": kinds,
    }


def remember_stage(
    context: dg.AssetExecutionContext,
    records: Records,
    lane: ModelLane,
    stage: str,
    content: str,
    started: float,
) -> None:
    """Record a stage that was made of the stage before; `started` is `time.perf_counter()` at its start."""
    before = f"{lane.model.name}/{STAGES[STAGES.index(stage) - 1]}"
    contents = {record.asset: record.content for record in records.all()}
    remember(
        context,
        records,
        inputs={before: contents[before]} if before in contents else {},
        content=content,
        seconds=time.perf_counter() - started,
    )
