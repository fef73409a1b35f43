"""The gate against old comparisons: challenger and champion were both scored on the newest labels."""

import tempfile
from pathlib import Path

import dagster as dg

from mlcicd_assets.assets.candidates import candidate
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.holdouts import stale_reason
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.run_files import VERDICT
from mlcicd_assets.release.verdict import Verdict, open_envelope
from resources.protocols import Keys, Lake, Ledger, Tracking


def champion_fresh(lane: ModelLane) -> dg.AssetChecksDefinition:
    """On `<model>/evaluation_report`; registration and deployment ask the same function again."""
    model = lane.model.name

    @dg.asset_check(
        name="champion_fresh",
        asset=dg.AssetKey([model, "evaluation_report"]),
        blocking=True,
        description="The champion was scored on the newest labels that there are.",
    )
    def _champion_fresh(
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
    ) -> dg.AssetCheckResult:
        trained = candidate(ledger, model)
        with expected_failures(), tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            envelope = tracking.fetch(trained.run_id, VERDICT, Path(scratch)).read_bytes()
            verdict = open_envelope(envelope, keys.trusted_keys())
            reason = stale_reason(lane, lake, verdict)
        return dg.AssetCheckResult(
            passed=not reason,
            severity=dg.AssetCheckSeverity.ERROR,
            description=reason or _fresh(verdict),
            metadata={"holdout": f"{verdict.holdout.start} to {verdict.holdout.end}"},
        )

    return _champion_fresh


def _fresh(verdict: Verdict) -> str:
    if verdict.champion is None:
        return "first release: there is no champion to compare with"
    return f"both were scored on labels known until {verdict.holdout.known_at or verdict.holdout.end}"
