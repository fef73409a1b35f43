"""What must hold in production after a release."""

import dagster as dg

from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.rollout import Routing, wanted
from mlcicd_assets.release.rollout_history import parse, rollout_pointer
from mlcicd_assets.release.run_files import champion_pointer
from mlcicd_assets.serving.client import answering
from resources.protocols import Ledger, ServingTarget


def serves_champion(lane: ModelLane) -> dg.AssetChecksDefinition:
    """The production address answers for the champion, and for a new version as far as it is rolled out."""
    model = lane.model.name

    @dg.asset_check(
        asset=dg.AssetKey([model, "deployment"]),
        name="serves_champion",
        blocking=True,
        description="The production address is answered by the champion, beside it at most by the rollout.",
    )
    def _serves_champion(
        ledger: dg.ResourceParam[Ledger], serving: dg.ResourceParam[ServingTarget]
    ) -> dg.AssetCheckResult:
        champion = ledger.pointer(champion_pointer(model))
        state = parse(ledger.pointer(rollout_pointer(model)))
        expected = wanted(state, int(champion) if champion else None)
        address = serving.status().addresses.get("production", "")
        versions = answering(address, model)
        routes = dict(serving.routes("production", model))
        shares = dict(expected.weights) if expected else {}
        answered = bool(versions) and {int(version) for version in versions} <= shares.keys()
        serves = ", ".join(versions) or "nothing"
        return dg.AssetCheckResult(
            passed=answered and routes == shares,
            description=f"champion is version {champion}, traffic should be {expected or 'nowhere'}; "
            f"it is {Routing(weights=routes)}; {address} serves {serves}",
            metadata={
                "champion": str(champion),
                "serving": serves,
                "address": address,
                "traffic": str(Routing(weights=routes)),
            },
        )

    return _serves_champion
