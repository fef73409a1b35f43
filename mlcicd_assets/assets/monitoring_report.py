"""`<model>/monitoring_report`: how the champion does on live traffic."""

import dagster as dg

from mlcicd_assets.assets.candidates import champion
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.model_options import asset_options
from mlcicd_assets.ml.catalogue import ModelLane
from resources.protocols import Ledger, Registry, ServingTarget, Traffic


def monitoring_report(lane: ModelLane) -> dg.AssetsDefinition:
    """Read what the proxy counted for each version since it started."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "monitoring_report", {"envoy"}),
        description=f"Requests, errors and latency of {model} in production, by version.",
    )
    @expected_failures()
    def _monitoring_report(
        context: dg.AssetExecutionContext,
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        serving: dg.ResourceParam[ServingTarget],
    ) -> dg.MaterializeResult:
        current = champion(ledger, registry, model)
        if current is None:
            raise dg.Failure(
                f"{model}: nothing serves yet; materialize {model}/deployment first", allow_retries=False
            )
        traffic = serving.traffic("production", model)
        context.log.info(f"{model}: {sum(version.requests for version in traffic)} requests so far")
        served = sum(version.requests for version in traffic)
        failed = sum(version.errors for version in traffic)
        return dg.MaterializeResult(
            metadata={
                "champion": current.version,
                "requests": served,
                "errors": failed,
                "traffic": dg.MetadataValue.table([_row(version) for version in traffic]),
            }
        )

    return _monitoring_report


def _row(traffic: Traffic) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "version": traffic.version,
            "requests": traffic.requests,
            "errors": traffic.errors,
            **{f"{name} ms": round(value, 2) for name, value in traffic.latency_ms.items()},
        }
    )
