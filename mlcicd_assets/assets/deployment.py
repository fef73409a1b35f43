"""`<model>/deployment`: the challenger becomes champion, and the traffic follows without a failed request."""

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from mlcicd_assets.assets.candidates import champion, registered_candidate
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.lifecycle import mirror, require_unmoved
from mlcicd_assets.assets.model_options import asset_options, remember_stage
from mlcicd_assets.assets.releases import prepare, sample_answers
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.release.approval import authorise_approval
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.run_files import champion_pointer
from mlcicd_assets.release.verdict import open_envelope
from mlcicd_assets.serving.routing import follow
from resources.protocols import (
    Keys,
    Lake,
    Ledger,
    ModelVersion,
    Records,
    Registry,
    Release,
    ResourceError,
    ServingTarget,
    Tracking,
)


def deployment(lane: ModelLane) -> dg.AssetsDefinition:
    """Blue-green: start and warm the new version, move the route at once, keep the old one warm, drain it."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "deployment", {"kserve", "envoy"}),
        pool=f"promote_{model}",
        description=f"The champion of {model} on the production address.",
    )
    @expected_failures()
    def _deployment(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
        serving: dg.ResourceParam[ServingTarget],
        records: dg.ResourceParam[Records],
    ) -> dg.MaterializeResult:
        started = time.perf_counter()
        current = champion(ledger, registry, model)
        version = registered_candidate(lane, ledger, registry, tracking, keys)
        actor = f"run {context.run_id}"
        require_unmoved(ledger, registry, model, version.version, actor)
        mirror(ledger, registry, model, actor)
        serving.start()
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            release = prepare(lane, registry, tracking, ledger, keys, version, "production", Path(scratch))
            check_releasable(release, keys, current, datetime.now(UTC))
            server = serving.launch(release, keys.trusted_keys())
            if current is None or current.version != version.version:
                _promote(ledger, model, version, current, actor)
            follow(serving, model, version.version)
            mirror(ledger, registry, model, actor)
            address = serving.status().addresses["production"]
            answers = sample_answers(lane, lake, release, address)
        retire_others(lane, serving, version.version)
        remember_stage(context, records, lane, "deployment", version.digest, started)
        return dg.MaterializeResult(
            metadata={
                "version": version.version,
                "digest": version.digest,
                "replaced": current.version if current and current.version != version.version else "nothing",
                "address": dg.MetadataValue.url(f"{address}/v2/models/{model}"),
                "server": server.address,
                "answered by version": answers.version,
            },
            data_version=dg.DataVersion(version.digest),
        )

    return _deployment


def check_releasable(release: Release, keys: Keys, current: ModelVersion | None, now: datetime) -> None:
    """Refuse a version compared with another champion, or one that waits for a person; raises Failure."""
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
    try:
        authorise_approval(
            release.approval.read_bytes() if release.approval else None,
            keys.trusted_keys(),
            verdict=verdict,
            version=release.version,
            now=now,
        )
    except Refused as refused:
        raise dg.Failure(
            f"{refused}; then materialize {release.model}/deployment", allow_retries=False
        ) from refused


def _promote(
    ledger: Ledger, model: str, version: ModelVersion, current: ModelVersion | None, actor: str
) -> None:
    # The ledger first: it decides who is champion, and the compare-and-set stops a second release here,
    # before any traffic has moved. Route and aliases follow it and are repaired from it after a kill.
    ledger.move(
        champion_pointer(model),
        expected=str(current.version) if current else None,
        new=str(version.version),
        action="promoted",
        model=model,
        actor=actor,
        version=version.version,
        digest=version.digest,
        details={"from": current.digest if current else None, "to": version.digest},
    )


def retire_others(lane: ModelLane, serving: ServingTarget, version: int) -> None:
    """Keep the replaced versions warm for the declared time, then drain and stop them."""
    others = [
        server
        for server in serving.status().servers
        if (server.model, server.environment) == (lane.model.name, "production")
        and server.version != version
        and server.state != "stopped"
    ]
    if not others:
        return
    time.sleep(parse_duration(lane.model.rollout.keep_warm).total_seconds())
    for server in others:
        if serving.routes("production", lane.model.name).get(server.version):
            raise ResourceError(
                f"{lane.model.name}: version {server.version} got traffic again while it was kept warm; "
                "it was not stopped"
            )
        serving.retire("production", lane.model.name, server.version)
