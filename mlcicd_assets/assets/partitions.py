"""Running a data stage over the partitions of a run, and what each partition shows in the UI."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from mlcicd_assets.assets.expected import EXPECTED
from mlcicd_assets.assets.recording import code_metadata, remember
from mlcicd_assets.ml.catalogue import DataLane
from mlcicd_assets.ml.code.code_versions import data_code
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.periods import FORMATS
from mlcicd_assets.reports.distributions import distributions_picture
from mlcicd_assets.reports.figures import data_uri
from resources.protocols import Records, TableVersion


@dataclass(frozen=True)
class Outcome:
    """What one partition became."""

    written: TableVersion
    inputs: Mapping[str, str]  # what it was made of: name -> content
    metadata: Mapping[str, Any] = field(default_factory=dict)
    frame: pl.DataFrame | None = None  # the rows, to be described; let go once that is done


@dataclass
class Batch:
    """The partitions of one run: those that succeeded, and why the others did not."""

    done: dict[str | None, Outcome] = field(default_factory=dict)
    failed: dict[str | None, str] = field(default_factory=dict)


def partitions_of(dataset: DatasetDeclaration) -> dg.PartitionsDefinition[str] | None:
    """The Dagster partitions of a dataset; keys read like 2026-01-31, 2026-01 or 2026-01-31-14:00.

    Dynamic partitions have any key; each is registered under the dataset's name before it is used.
    """
    if dataset.partitions == "dynamic":
        return dg.DynamicPartitionsDefinition(name=dataset.name)
    if dataset.partitions == "none" or dataset.start is None:
        return None
    kinds = {
        "hourly": dg.HourlyPartitionsDefinition,
        "daily": dg.DailyPartitionsDefinition,
        "weekly": dg.WeeklyPartitionsDefinition,
        "monthly": dg.MonthlyPartitionsDefinition,
    }
    fmt = FORMATS[dataset.partitions]
    return kinds[dataset.partitions](start_date=dataset.start.strftime(fmt), fmt=fmt)


def asset_options(lane: DataLane, stage: str) -> dict[str, Any]:
    """What every asset of a dataset shares."""
    code = data_code(lane, stage)
    return {
        "key": [lane.dataset.name, stage],
        "group_name": lane.dataset.name,
        "owners": [lane.dataset.owner],
        "partitions_def": partitions_of(lane.dataset),
        # One run for a whole range; the unpartitioned assets beside it must say the same.
        "backfill_policy": dg.BackfillPolicy.single_run(),
        "code_version": code.version,
        "metadata": code_metadata(code),
        "tags": {"lane": "data"},
        "kinds": {"polars", "deltalake"},
    }


def run_partitions(
    context: dg.AssetExecutionContext,
    records: Records,
    work: Callable[[str | None], Outcome],
) -> Batch:
    """Do one stage for each partition of the run; a partition that fails does not stop the others.

    Each partition shows its schema and nulls; the last also a picture, so that long ranges stay fast.
    """
    batch = Batch()
    partitions = _partitions(context)
    for partition in partitions:
        started = time.perf_counter()
        try:
            outcome = work(partition)
        except EXPECTED as error:
            batch.failed[partition] = str(error)
            continue
        seconds = time.perf_counter() - started
        outcome = _described(outcome, picture=partition == partitions[-1])
        batch.done[partition] = outcome
        remember(
            context,
            records,
            inputs=outcome.inputs,
            content=outcome.written.content,
            seconds=seconds,
            partition=partition,
        )
        context.add_asset_metadata(_shown(outcome), partition_key=partition)
    return batch


def conclude(context: dg.AssetExecutionContext, batch: Batch) -> dg.MaterializeResult[Any]:
    """Report the run's partitions; raises Failure naming each that failed, after those that succeeded."""
    if not batch.failed:
        return dg.MaterializeResult(data_version=dg.DataVersion(_version(batch)))
    for partition, outcome in batch.done.items():
        context.log_event(
            dg.AssetMaterialization(
                context.asset_key,
                partition=partition,
                metadata=_shown(outcome),
                tags={"dagster/data_version": outcome.written.content},
            )
        )
    raise dg.Failure(_sentence(batch.failed), allow_retries=False)


def _partitions(context: dg.AssetExecutionContext) -> list[str | None]:
    if context.has_partition_key or context.has_partition_key_range:
        return list(context.partition_keys) if context.assets_def.partitions_def else [None]
    return [None]


def _sentence(failed: Mapping[str | None, str]) -> str:
    if len(failed) == 1:
        return next(iter(failed.values()))
    lines = "\n".join(f"  {partition}: {message}" for partition, message in failed.items())
    return f"{len(failed)} partitions failed:\n{lines}"


def _version(batch: Batch) -> str:
    contents = [outcome.written.content for outcome in batch.done.values()]
    # Dagster knows one version per run: for a range it is the digest of the partitions' own versions,
    # which stand in each partition's metadata and in the records.
    return contents[0] if len(contents) == 1 else hashlib.sha256("".join(contents).encode()).hexdigest()


def _shown(outcome: Outcome) -> dict[str, Any]:
    written = outcome.written
    return {
        "dagster/row_count": written.rows,
        "table": written.table,
        "data version": written.content[:16],
        "Delta version": written.version,
        **outcome.metadata,
    }


def _described(outcome: Outcome, *, picture: bool) -> Outcome:
    frame = outcome.frame
    if frame is None:
        return outcome
    shown = {**outcome.metadata, **_frame_metadata(frame)}
    if picture and frame.width:
        drawn = data_uri(distributions_picture(frame))
        shown["distributions"] = dg.MetadataValue.md(f"![distributions of the columns]({drawn})")
    return Outcome(outcome.written, outcome.inputs, shown)


def _frame_metadata(frame: pl.DataFrame) -> dict[str, Any]:
    """Schema, and the share of nulls by column, of a frame."""
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in frame.schema.items()]
    height = max(frame.height, 1)
    rows = [(name, frame[name].null_count() / height) for name in frame.columns]
    nulls = "\n".join(f"| {name} | {share:.2%} |" for name, share in rows if share)
    table = f"| column | null |\n|---|---|\n{nulls}" if nulls else "no nulls"
    return {
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "nulls": dg.MetadataValue.md(table),
    }
