"""Registering the keys of dynamic partitions: what has landed may be materialized."""

import dagster as dg

from mlcicd_assets.ml.catalogue import DataLane
from resources.protocols import Landing


def registering_sensor(lane: DataLane) -> dg.SensorDefinition:
    """`<dataset>_partitions`: registers the keys whose files have landed; runs nothing by itself."""
    name = lane.dataset.name

    @dg.sensor(
        name=f"{name}_partitions",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Registers the partitions of {name} that have landed.",
    )
    def _register(
        context: dg.SensorEvaluationContext, landing: dg.ResourceParam[Landing]
    ) -> dg.SensorResult | dg.SkipReason:
        new = unregistered(context.instance, lane, landing)
        if not new:
            return dg.SkipReason(f"every partition of {name} that has landed is registered")
        request = dg.DynamicPartitionsDefinition(name=name).build_add_request(new)
        return dg.SensorResult(dynamic_partitions_requests=[request])

    return _register


def unregistered(instance: dg.DagsterInstance, lane: DataLane, landing: Landing) -> list[str]:
    """The keys that have landed and that Dagster does not know yet, sorted."""
    known = set(instance.get_dynamic_partitions(lane.dataset.name))
    return [key for key in landing.partitions(lane.dataset.source.files) if key not in known]
