"""`<dataset>/features`: the one path from records to what models learn from."""

from collections.abc import Mapping

import dagster as dg
import polars as pl

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.partitions import Outcome, asset_options, conclude, run_partitions
from mlcicd_assets.assets.statistics import keep_feature_statistics
from mlcicd_assets.ml.catalogue import DataLane, read_reference
from mlcicd_assets.ml.data.feature_table import LABEL, assemble
from mlcicd_assets.ml.data.features import compute_features
from mlcicd_assets.ml.user_code import load_function
from resources.protocols import Lake, Records


def features(lane: DataLane) -> dg.AssetsDefinition:
    """Apply the declared features function, and keep keys, time, label and protected columns beside."""
    declared = lane.dataset.features or ""

    @dg.asset(
        **asset_options(lane, "features"),
        deps=[dg.AssetKey([name, "validated_data"]) for name in [lane.dataset.name, *lane.dataset.lookups]],
        description=f"Features of {lane.dataset.name} by {declared}: the same function that serves.",
    )
    @expected_failures()
    def _features(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], records: dg.ResourceParam[Records]
    ) -> dg.MaterializeResult:
        function = load_function(*read_reference(lane.folder, declared))
        lookups = {name: lake.scan(f"{name}/validated_data") for name in lane.dataset.lookups}

        def compute(partition: str | None) -> Outcome:
            table = lane.table("validated_data")
            rows = lake.scan(table, partitions=None if partition is None else [partition]).collect()
            columns = compute_features(function, rows, lookups, hidden=lane.dataset.hidden)
            frame = assemble(lane.dataset, rows, columns)
            written = lake.write(lane.table("features"), frame, partition=partition)
            keep_feature_statistics(lake, lane, frame, partition)
            return Outcome(written, _inputs(lake, lane, partition), _shown(frame), frame)

        return conclude(context, run_partitions(context, records, compute))

    return _features


def _inputs(lake: Lake, lane: DataLane, partition: str | None) -> Mapping[str, str]:
    table = lane.table("validated_data")
    inputs = {table if partition is None else f"{table}@{partition}": lake.versions(table)[partition].content}
    for name in lane.dataset.lookups:
        inputs[f"{name}/validated_data"] = lake.versions(f"{name}/validated_data")[None].content
    return inputs


def _shown(frame: pl.DataFrame) -> dict[str, object]:
    shown: dict[str, object] = {}
    if LABEL in frame.columns:
        shown["labelled rows"] = frame.height - frame[LABEL].null_count()
        shown["unlabelled rows"] = frame[LABEL].null_count()
        shown |= _label_shown(frame[LABEL])
    return shown


def _label_shown(label: pl.Series) -> dict[str, object]:
    """The share of positives, how many classes there are, or the mean."""
    if label.dtype == pl.Int8:
        return {"positive share": float(label.mean() or 0.0)}  # type: ignore[arg-type]
    if label.dtype.is_float():
        return {"mean of the label": float(label.mean() or 0.0)}  # type: ignore[arg-type]
    return {"classes": label.drop_nulls().n_unique()}
