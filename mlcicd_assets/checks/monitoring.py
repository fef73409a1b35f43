"""What production shows, as a check of `<model>/monitoring_report`."""

import dagster as dg

from mlcicd_assets.assets.monitoring.kept import episodes, history
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.monitoring.episodes import latest
from mlcicd_assets.ml.monitoring.windows import window_length
from mlcicd_assets.release.run_files import champion_pointer
from resources.protocols import Lake, Ledger


def monitoring_healthy(lane: ModelLane) -> dg.AssetChecksDefinition:
    """Warns while an episode stands or the newest of a signal is violated; what nobody knows is named."""
    model = lane.model.name

    @dg.asset_check(
        asset=dg.AssetKey([model, "monitoring_report"]),
        name="monitoring_healthy",
        description="Traffic, drift and labelled performance of the champion keep their bounds.",
    )
    def _monitoring_healthy(
        lake: dg.ResourceParam[Lake], ledger: dg.ResourceParam[Ledger]
    ) -> dg.AssetCheckResult:
        length = window_length(lane.model.monitor.window)
        champion = int(ledger.pointer(champion_pointer(model)) or 0)
        newest = latest(history(lake, model, length=length), champion)
        standing = [one for one in episodes(lake, model) if one.open and one.version == champion]
        violated = [one for one in newest.values() if one.state == "violated"]
        unknown = [one for one in newest.values() if one.state == "not enough evidence"]
        said = [f"{one.cause} since {one.began}" for one in standing]
        said += [f"{one.name} in {one.window}: {one.reason}" for one in violated]
        said += [f"{one.name} is not known: {one.reason}" for one in unknown]
        return dg.AssetCheckResult(
            passed=bool(newest) and not standing and not violated,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(said)
            or ("every signal keeps its bound" if newest else "nothing was seen yet"),
            metadata={
                "champion": champion,
                "episodes": ", ".join(one.cause for one in standing) or "none",
                "violated": ", ".join(one.name for one in violated) or "none",
                "not known": ", ".join(one.name for one in unknown) or "none",
            },
        )

    return _monitoring_healthy
