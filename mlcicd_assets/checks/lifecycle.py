"""What should never be silent: an alias that was moved by hand, and a champion that an override let pass."""

import dagster as dg

from mlcicd_assets.assets.lifecycle import moved, note_moved, standing_of
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.decisions import newest_override
from resources.protocols import Ledger, Registry


def aliases_follow_ledger(lane: ModelLane) -> dg.AssetChecksDefinition:
    """MLflow's aliases stand where the ledger says; a move by hand is written down."""
    model = lane.model.name

    @dg.asset_check(
        asset=dg.AssetKey([model, "monitoring_report"]),
        name="aliases_follow_ledger",
        description="Nobody moved an alias by hand; what serves follows the ledger alone.",
    )
    def _aliases_follow_ledger(
        context: dg.AssetCheckExecutionContext,
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
    ) -> dg.AssetCheckResult:
        found = moved(ledger, registry, model)
        for one in found:
            if one.by_hand:
                note_moved(ledger, one, f"run {context.run.run_id}")
        told = "; ".join(str(one) for one in found)
        return dg.AssetCheckResult(
            passed=not found,
            description=f"{told}. Put back with: mlcicd repair {model}" if found else "as the ledger says",
            metadata={one.alias: str(one) for one in found},
        )

    return _aliases_follow_ledger


def released_without_override(lane: ModelLane) -> dg.AssetChecksDefinition:
    """Warns as long as the champion is one that a person let past its gates or its approval."""
    model = lane.model.name

    @dg.asset_check(
        asset=dg.AssetKey([model, "deployment"]),
        name="released_without_override",
        description="The champion passed all its gates, and an approval where one is asked for.",
    )
    def _released_without_override(
        ledger: dg.ResourceParam[Ledger], registry: dg.ResourceParam[Registry]
    ) -> dg.AssetCheckResult:
        number = standing_of(ledger, model).champion
        version = registry.get(model, number) if number else None
        used = newest_override(ledger.entries(model), version.digest) if version else None
        if used is None:
            return dg.AssetCheckResult(passed=True, description="no override was used")
        waived = [*used.details.get("gates", []), *(["approval"] if used.details.get("approval") else [])]
        return dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"version {number} serves by an OVERRIDE of {used.actor}: {used.reason}",
            metadata={"by": used.actor, "reason": used.reason, "at": used.at, "waived": ", ".join(waived)},
        )

    return _released_without_override
