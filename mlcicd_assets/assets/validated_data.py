"""`<dataset>/validated_data`: the partitions whose contract holds."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import polars as pl

from mlcicd_assets.assets.partitions import Outcome, asset_options, conclude, run_partitions
from mlcicd_assets.assets.recording import remember_refusal
from mlcicd_assets.assets.statistics import keep_record_statistics
from mlcicd_assets.ml.catalogue import DataLane, read_reference
from mlcicd_assets.ml.data.contracts import ContractBroken, ContractReport, examine, moved_counts
from mlcicd_assets.ml.periods import end_of
from mlcicd_assets.ml.user_code import load_object
from resources.protocols import Lake, Records


def validated_data(lane: DataLane) -> dg.AssetsDefinition:
    """Keep a partition when every hard rule holds; what was kept before stays when one does not."""
    key = dg.AssetKey([lane.dataset.name, "validated_data"])
    targets = sorted({target.split(".")[0] for target in lane.dataset.references.values()})
    references = [dg.AssetKey([name, "validated_data"]) for name in targets]

    @dg.asset(
        **asset_options(lane, "validated_data"),
        deps=[dg.AssetKey([lane.dataset.name, "raw_data"]), *references],
        check_specs=[
            dg.AssetCheckSpec(
                "contract",
                asset=key,
                blocking=True,
                description=f"Every hard rule of {lane.dataset.contract} holds.",
            ),
            dg.AssetCheckSpec(
                "quality", asset=key, description="Every soft rule holds; a broken one warns and is recorded."
            ),
        ],
        description=f"Records of {lane.dataset.name} that keep the contract {lane.dataset.contract}.",
    )
    def _validated_data(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], records: dg.ResourceParam[Records]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        reports: dict[str | None, ContractReport] = {}
        contract = load_object(*read_reference(lane.folder, lane.dataset.contract))
        known = {
            target: lake.scan(f"{target.split('.')[0]}/validated_data")
            for target in lane.dataset.references.values()
        }

        def check(partition: str | None) -> Outcome:
            raw = lane.table("raw_data")
            rows = lake.scan(raw, partitions=None if partition is None else [partition])
            found = examine(rows, contract, lane.dataset, known, _until(lane, partition))
            reports[partition] = found.report
            inputs = _inputs(lake, lane, partition, targets)
            if not found.report.passed:
                reason = found.report.summary()
                remember_refusal(context, records, inputs=inputs, reason=reason, partition=partition)
                raise ContractBroken(f"{raw} {partition or ''}: {reason}")
            kept, moved = found.part()
            _quarantine(lake, lane.table("quarantine"), moved, partition)
            written = lake.write(lane.table("validated_data"), kept, partition=partition)
            keep_record_statistics(lake, lane, kept, partition)
            return Outcome(written, inputs, _shown(lane, found.report, moved), kept)

        batch = run_partitions(context, records, check)
        yield _contract(reports, batch.failed)
        yield _quality(reports)
        yield conclude(context, batch)

    return _validated_data


def _until(lane: DataLane, partition: str | None) -> datetime:
    """The moment that the records should reach: the partition's end, or now."""
    if partition is None or lane.dataset.partitions == "dynamic":
        return datetime.now(UTC)
    return end_of(lane.dataset.partitions, partition)


def _quarantine(lake: Lake, table: str, moved: pl.DataFrame, partition: str | None) -> None:
    """Replace the partition's quarantine; where nothing ever had to be moved, no table is made."""
    before = lake.versions(table).get(partition)
    if moved.height or (before and before.rows):
        lake.write(table, moved, partition=partition)


def _inputs(lake: Lake, lane: DataLane, partition: str | None, targets: list[str]) -> dict[str, str]:
    table = lane.table("raw_data")
    raw = lake.versions(table).get(partition)
    inputs = {table if partition is None else f"{table}@{partition}": raw.content if raw else ""}
    for name in targets:
        inputs |= {
            f"{name}/validated_data" if key is None else f"{name}/validated_data@{key}": version.content
            for key, version in lake.versions(f"{name}/validated_data").items()
        }
    return inputs


def _shown(lane: DataLane, report: ContractReport, moved: pl.DataFrame) -> dict[str, Any]:
    shown: dict[str, Any] = {"rules": report.rules, "quarantined rows": moved.height}
    if moved.height:
        shown["quarantine"] = dg.MetadataValue.md(
            f"table `{lane.table('quarantine')}`\n\n| rule | rows |\n|---|---|\n"
            + "\n".join(f"| {rule} | {count:,} |" for rule, count in moved_counts(moved))
        )
    return shown


def _contract(
    reports: Mapping[str | None, ContractReport], failed: Mapping[str | None, str]
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name="contract",
        passed=not failed,
        description="; ".join(failed.values()) or f"{len(reports)} partition(s) keep every hard rule",
        metadata=_table(reports, "hard"),
    )


def _quality(reports: Mapping[str | None, ContractReport]) -> dg.AssetCheckResult:
    soft = sum(failure.tier == "soft" for report in reports.values() for failure in report.failures)
    return dg.AssetCheckResult(
        check_name="quality",
        passed=soft == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{soft} soft rule(s) broken" if soft else "every soft rule holds",
        metadata=_table(reports, "soft"),
    )


def _table(reports: Mapping[str | None, ContractReport], tier: str) -> dict[str, Any]:
    found = [
        dg.TableRecord(
            {
                "partition": partition or "",
                "rule": failure.rule,
                "column": failure.column or "",
                "count": failure.count,
                "share": f"{failure.share:.3%}",
                "sample": str(failure.sample)[:300],
            }
        )
        for partition, report in reports.items()
        for failure in report.failures
        if failure.tier == tier
    ]
    return {"broken rules": dg.MetadataValue.table(found)} if found else {}
