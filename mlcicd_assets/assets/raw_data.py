"""`<dataset>/raw_data`: what landed, as it landed."""

import dagster as dg

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.partitions import Outcome, asset_options, conclude, frame_metadata, run_partitions
from mlcicd_assets.ml.catalogue import DataLane
from resources.protocols import Lake, Landing, Records


def raw_data(lane: DataLane) -> dg.AssetsDefinition:
    """Read what landed into the lake, by partition; the version is the hash of the rows."""
    source = lane.dataset.source.files

    @dg.asset(
        **asset_options(lane, "raw_data"),
        description=f"Records of {lane.dataset.name} as they landed in {source}.",
    )
    @expected_failures()
    def _raw_data(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        landing: dg.ResourceParam[Landing],
        records: dg.ResourceParam[Records],
    ) -> dg.MaterializeResult:
        def read(partition: str | None) -> Outcome:
            landed = landing.find(source, partition)
            frame = landing.read(landed)
            written = lake.write(lane.table("raw_data"), frame, partition=partition)
            shown = {"file": str(landed.path), **frame_metadata(frame)}
            return Outcome(written, {"file": landed.fingerprint}, shown)

        return conclude(context, run_partitions(context, records, read))

    return _raw_data
