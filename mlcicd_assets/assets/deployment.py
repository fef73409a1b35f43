"""`<model>/deployment`: the challenger becomes champion, and the traffic follows without a failed request."""

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from mlcicd_assets.assets.candidates import candidate, champion, registered_candidate
from mlcicd_assets.assets.clearance import Waiting, authority_shown, clear, waiting_shown
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.holdouts import require_fresh
from mlcicd_assets.assets.lifecycle import mirror, require_unmoved
from mlcicd_assets.assets.model_options import asset_options, remember_stage
from mlcicd_assets.assets.releases import Answers, prepare, sample_answers
from mlcicd_assets.assets.rollouts.actions import World
from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.assets.rollouts.metadata import rollout_metadata
from mlcicd_assets.assets.rollouts.repair import repair
from mlcicd_assets.assets.staging_tests import require_staging
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.release.rollout import Target
from mlcicd_assets.release.verdict import open_envelope
from mlcicd_assets.serving.client import ServingError
from resources.protocols import (
    Keys,
    Lake,
    Ledger,
    ModelVersion,
    Predictions,
    Records,
    Registry,
    Release,
    Reports,
    ResourceError,
    ServingTarget,
    Tracking,
)

# Patience with what takes no traffic: launching, routing, taking back.
_LAUNCH_S = 120.0
# Beyond a rollout's shortest time; one that waits longer for evidence is handed over.
_SLACK_S = 15.0


def deployment(lane: ModelLane) -> dg.AssetsDefinition:
    """Roll the registered candidate out as declared; the sensor `rollouts` goes on with a long rollout."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "deployment", {"kserve", "envoy"}),
        pool=f"promote_{model}",
        # A release that waits for a person materializes nothing, and fails nothing.
        output_required=False,
        description=f"The champion of {model} on the production address.",
    )
    def _deployment(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
        serving: dg.ResourceParam[ServingTarget],
        predictions: dg.ResourceParam[Predictions],
        records: dg.ResourceParam[Records],
        reports: dg.ResourceParam[Reports],
    ) -> Iterator[dg.AssetObservation | dg.MaterializeResult]:
        started = time.perf_counter()
        with expected_failures(), tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            current = champion(ledger, registry, model)
            version = registered_candidate(lane, ledger, registry, tracking, keys)
            require_staging(ledger, version)
            actor = f"run {context.run_id}"
            require_unmoved(ledger, registry, model, version.version, actor)
            mirror(ledger, registry, model, actor)
            release = prepare(lane, registry, tracking, ledger, keys, version, "production", Path(scratch))
            require_compared(lane, lake, release, keys, current)
            try:
                authorised = clear(lane, ledger, keys, release, datetime.now(UTC), actor)
            except Waiting as waits:
                context.log.warning(str(waits))
                yield dg.AssetObservation([model, "deployment"], metadata=waiting_shown(release, waits))
                return
            serving.start()
            world = World(ledger, registry, tracking, keys, serving, predictions, lake)
            rollouts = Rollouts(lane, world)
            answers = roll_out(rollouts, release, lake, current, actor)
            told = _outcome(rollouts, version, reports)
            address = serving.status().addresses["production"]
        remember_stage(context, records, lane, "deployment", version.digest, started)
        yield dg.MaterializeResult(
            metadata={
                "version": version.version,
                "digest": version.digest,
                "replaced": current.version if current and current.version != version.version else "nothing",
                "address": dg.MetadataValue.url(f"{address}/v2/models/{model}"),
                "answered by version": answers.version,
                **authority_shown(authorised),
                **told,
            },
            data_version=dg.DataVersion(version.digest),
        )

    return _deployment


def require_compared(
    lane: ModelLane, lake: Lake, release: Release, keys: Keys, current: ModelVersion | None
) -> None:
    """Refuse a version compared with another champion than today's, or on old labels; raises Failure."""
    verdict = open_envelope(release.verdict.read_bytes(), keys.trusted_keys())
    compared = verdict.champion.version if verdict.champion else None
    serving = current.version if current else None
    if compared != serving and serving != release.version:
        raise dg.Failure(
            f"{release.model}: version {release.version} was compared with "
            f"{f'version {compared}' if compared else 'no champion'}, but "
            f"{f'version {serving}' if serving else 'none'} serves now; "
            f"materialize {release.model}/evaluation_report again",
            allow_retries=False,
        )
    if serving != release.version:  # what serves already is only repaired
        require_fresh(lane, lake, verdict)


def roll_out(
    rollouts: Rollouts, release: Release, lake: Lake, current: ModelVersion | None, actor: str
) -> Answers:
    """Begin the rollout, or join the one that goes on, and advance it as far as a run should.

    Before any user is answered by the new version, its answers are compared with the package's own.
    """
    same = current is not None and current.version == release.version
    if same and rollouts.active() is None:
        repair(rollouts)
        rollouts.actions.retire_others()
        return _sampled(rollouts, release, lake)
    stable = Target(version=current.version, digest=current.digest) if current and not same else None
    trained = candidate(rollouts.world.ledger, release.model)
    target = Target(version=release.version, digest=release.digest, run=trained.run_id)
    rollouts.begin(target, stable, actor)
    state = rollouts.run(patience_s=_LAUNCH_S, until=lambda now: now.phase != "launching")
    if state.phase in {"rolling_back", "rolled_back"}:
        rollouts.run(patience_s=_LAUNCH_S)
        raise dg.Failure(rollouts.describe(state), allow_retries=False)
    try:
        answers = _sampled(rollouts, release, lake)
    except (dg.Failure, ServingError) as error:
        rollouts.abort(by=actor, reason=_said(error))
        rollouts.run(patience_s=_LAUNCH_S)
        raise
    limit = parse_duration(rollouts.lane.model.rollout.within_run).total_seconds()
    if state.plan.total_s > limit:
        rollouts.run(patience_s=_LAUNCH_S, until=lambda now: not now.pending)
    else:
        rollouts.run(patience_s=state.plan.total_s + _SLACK_S)
    return answers


def _sampled(rollouts: Rollouts, release: Release, lake: Lake) -> Answers:
    server = rollouts.actions.server(release.version)
    if server is None:
        raise ResourceError(f"{release.model}: the server of version {release.version} is not ready")
    return sample_answers(rollouts.lane, lake, release, server.address)


def _said(error: Exception) -> str:
    return str(error.description if isinstance(error, dg.Failure) else error)


def _outcome(rollouts: Rollouts, version: ModelVersion, reports: Reports) -> dict[str, Any]:
    """What the run shows of the rollout; raises Failure where it was rolled back."""
    state = rollouts.state()
    if state is None or state.target.version != version.version:
        return {}
    shown = rollout_metadata(rollouts, state, datetime.now(UTC), reports)
    if state.phase in {"rolling_back", "rolled_back"}:
        raise dg.Failure(rollouts.describe(state), metadata=shown, allow_retries=False)
    if not state.ended:
        shown["goes on"] = "advanced by the sensor 'rollouts', or by 'mlcicd rollout advance'"
    return shown
