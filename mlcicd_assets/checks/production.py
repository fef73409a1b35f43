"""What must hold in production after a release."""

import dagster as dg

from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.run_files import champion_pointer
from mlcicd_assets.serving.client import answering
from resources.protocols import Ledger, ServingTarget


def serves_champion(lane: ModelLane) -> dg.AssetChecksDefinition:
    """The production address answers for the version that the ledger calls champion."""
    model = lane.model.name

    @dg.asset_check(
        asset=dg.AssetKey([model, "deployment"]),
        name="serves_champion",
        blocking=True,
        description="The production address is answered by the champion.",
    )
    def _serves_champion(
        ledger: dg.ResourceParam[Ledger], serving: dg.ResourceParam[ServingTarget]
    ) -> dg.AssetCheckResult:
        expected = ledger.pointer(champion_pointer(model))
        address = serving.status().addresses.get("production", "")
        versions = answering(address, model)
        serves = ", ".join(versions) or "nothing"
        return dg.AssetCheckResult(
            passed=versions == [expected],
            description=f"champion is version {expected}; {address} serves {serves}",
            metadata={"champion": str(expected), "serving": serves, "address": address},
        )

    return _serves_champion
