"""`<dataset>/validated_data`: the partitions whose contract holds."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from mlcicd_assets.assets.partitions import Outcome, asset_options, conclude, frame_metadata, run_partitions
from mlcicd_assets.ml.catalogue import DataLane, read_reference
from mlcicd_assets.ml.contracts import ContractBroken, ContractReport, conform, validate
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

        def check(partition: str | None) -> Outcome:
            contract = load_object(*read_reference(lane.folder, lane.dataset.contract))
            raw = lake.versions(lane.table("raw_data")).get(partition)
            frame = lake.scan(
                lane.table("raw_data"), partitions=None if partition is None else [partition]
            ).collect()
            known = {
                target: lake.scan(f"{target.split('.')[0]}/validated_data")
                for target in lane.dataset.references.values()
            }
            frame = conform(frame, contract, lane.dataset.contract)
            report = validate(frame, contract, lane.dataset, known)
            reports[partition] = report
            if not report.passed:
                raise ContractBroken(f"{lane.table('raw_data')} {partition or ''}: {report.summary()}")
            written = lake.write(lane.table("validated_data"), frame, partition=partition)
            inputs = {_named(lane.table("raw_data"), partition): raw.content if raw else ""}
            inputs |= {
                f"{name}/validated_data": lake.versions(f"{name}/validated_data")[None].content
                for name in targets
            }
            return Outcome(written, inputs, {"rules": report.rules, **frame_metadata(frame)})

        batch = run_partitions(context, records, check)
        yield _contract(reports, batch.failed)
        yield _quality(reports)
        yield conclude(context, batch)

    return _validated_data


def _named(table: str, partition: str | None) -> str:
    return table if partition is None else f"{table}@{partition}"


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
