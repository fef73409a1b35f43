"""`<dataset>/raw_data`: what landed, as it landed."""

import dagster as dg

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.partitions import Outcome, asset_options, conclude, run_partitions
from mlcicd_assets.assets.sources import deliver
from mlcicd_assets.ml.catalogue import DataLane
from resources.protocols import Lake, Landing, Records, Warehouse


def raw_data(lane: DataLane) -> dg.AssetsDefinition:
    """Read what landed into the lake, by partition; the version is the hash of the rows."""

    @dg.asset(
        **asset_options(lane, "raw_data"),
        description=f"Records of {lane.dataset.name} as they came from {lane.dataset.source.named}.",
    )
    @expected_failures()
    def _raw_data(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        landing: dg.ResourceParam[Landing],
        warehouse: dg.ResourceParam[Warehouse],
        records: dg.ResourceParam[Records],
    ) -> dg.MaterializeResult:
        def read(partition: str | None) -> Outcome:
            found = deliver(lane, partition, landing, warehouse)
            written = lake.write(lane.table("raw_data"), found.frame, partition=partition)
            inputs = {found.name: found.fingerprint or written.content}
            return Outcome(written, inputs, found.shown, found.frame)

        return conclude(context, run_partitions(context, records, read))

    return _raw_data
