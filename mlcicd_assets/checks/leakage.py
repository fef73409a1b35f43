"""The gates against leakage: no feature knows the label, and nothing of the holdout was learned from."""

import tempfile
from pathlib import Path

import dagster as dg
import polars as pl

from mlcicd_assets.assets.candidates import candidate
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.recording import refuse
from mlcicd_assets.ml.catalogue import DataLane, ModelLane
from mlcicd_assets.ml.data.feature_table import ARRIVES, LABEL, TIME, model_columns
from mlcicd_assets.ml.data.leakage import Findings, known_after_event, label_leaks, shared_rows
from mlcicd_assets.ml.training.splits import known_label
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import TRAINING
from resources.protocols import Lake, Ledger, Records, Tracking


def label_not_leaked(lane: DataLane) -> dg.AssetChecksDefinition:
    """On `<dataset>/features`: over the partitions of the run together."""
    dataset = lane.dataset

    @dg.asset_check(
        name="label_not_leaked",
        asset=dg.AssetKey([dataset.name, "features"]),
        blocking=True,
        description="No feature alone decides the label, and none is known only after the event.",
    )
    def _label_not_leaked(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        records: dg.ResourceParam[Records],
    ) -> dg.AssetCheckResult:
        with expected_failures():
            table = lane.table("features")
            partitions = _of_run(context, lake, table)
            rows = lake.scan(table, partitions=partitions).collect()
        names = model_columns(rows.columns)
        named = known_after_event(names, dataset.hidden)
        kind = dataset.label.kind if dataset.label else "binary"
        found = label_leaks(rows, names, LABEL, dataset.not_leaking, kind)
        result = _result(Findings([*named, *found.leaks], found.rows, found.missing))
        if not result.passed:
            reason = f"label_not_leaked: {result.description}"
            refuse(records, table, dict.fromkeys(partitions, reason) if partitions else {None: reason})
        return result

    return _label_not_leaked


def holdout_unseen(lane: ModelLane) -> dg.AssetChecksDefinition:
    """On `<model>/trained_model`: the very rows that the last training read, by their recorded versions."""
    model, dataset = lane.model.name, lane.data.dataset

    @dg.asset_check(
        name="holdout_unseen",
        asset=dg.AssetKey([model, "trained_model"]),
        blocking=True,
        description="No row of the holdout was learned from, by its keys or by its content.",
    )
    def _holdout_unseen(
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        ledger: dg.ResourceParam[Ledger],
        records: dg.ResourceParam[Records],
    ) -> dg.AssetCheckResult:
        trained = candidate(ledger, model)
        with expected_failures(), tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            path = tracking.fetch(trained.run_id, TRAINING, Path(scratch))
            record = TrainingRecord.model_validate_json(path.read_bytes())
            train, holdout = _windows(lane, lake, record)
        keys = [f"_{key}" for key in dataset.keys]
        result = _result(shared_rows(train, holdout, keys, [*record.features, LABEL]))
        if not result.passed:
            refuse(records, f"{model}/trained_model", {None: f"holdout_unseen: {result.description}"})
        return result

    return _holdout_unseen


def _windows(lane: ModelLane, lake: Lake, record: TrainingRecord) -> tuple[pl.DataFrame, pl.DataFrame]:
    label = lane.data.dataset.label
    late = ARRIVES if label and label.arrives else None
    partitions = [used.partition for used in record.data if used.partition is not None]
    rows = lake.scan(record.data[0].table, partitions=partitions or None, version=record.data[0].version)
    known = rows.filter(known_label(record.as_of, label=LABEL, arrives=late))
    columns = [*(f"_{key}" for key in lane.data.dataset.keys), *record.features, LABEL]
    train, holdout = (
        known.filter(pl.col(TIME).is_between(*window, closed="left")).select(columns).collect()
        for window in (record.train, record.holdout)
    )
    return train, holdout


def _of_run(context: dg.AssetCheckExecutionContext, lake: Lake, table: str) -> list[str] | None:
    """The run's partitions that the table has; None where it has no partitions."""
    stored = [key for key in lake.versions(table) if key is not None]
    tags = context.run.tags
    one = tags.get("dagster/partition")
    first = tags.get("dagster/asset_partition_range_start", one)
    last = tags.get("dagster/asset_partition_range_end", one)
    if first is None or last is None:
        return stored or None
    chosen = [key for key in stored if first <= key <= last]
    return chosen or stored or None


def _result(found: Findings) -> dg.AssetCheckResult:
    fine = f"nothing found in {found.rows:,} rows" if not found.missing else f"not judged: {found.missing}"
    leaks = [
        dg.TableRecord({"rule": leak.rule, "column": leak.column or "", "value": round(leak.value, 4)})
        for leak in found.leaks
    ]
    return dg.AssetCheckResult(
        passed=not found.leaks,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(leak.message for leak in found.leaks) or fine,
        metadata={"rows": found.rows, **({"leaks": dg.MetadataValue.table(leaks)} if leaks else {})},
    )
