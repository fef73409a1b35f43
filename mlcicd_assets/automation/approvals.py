"""What happens by itself around a person's decision: the release goes on; and the same decision in the UI.

The sensor reads the ledger only. It asks for one run per decision: the run's key is the signed envelope's
hash, so that no tick, restart or second daemon asks twice.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from mlcicd_assets.assets.decisions import BadDecision, Desk, Signed, decide
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.automation.declared_models import declared_model
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from mlcicd_assets.release.approvals import Release, releases_to_continue
from mlcicd_assets.release.envelope import Refused
from resources.protocols import Keys, Ledger, Registry, Tracking

_INTERVAL_S = 15


def approvals_sensor(catalogue: Callable[[], Catalogue] = load_all) -> dg.SensorDefinition:
    """Goes on with each release that a person approved, or that an override lets pass."""

    @dg.sensor(
        name="approvals",
        asset_selection=dg.AssetSelection.all(),
        # It does nothing without a person's decision, which is what it waits for.
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_INTERVAL_S,
        description="Goes on with a release once its approval stands; once for each decision.",
    )
    def _approvals(ledger: dg.ResourceParam[Ledger]) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        found = [
            one
            for model in catalogue().models
            for one in releases_to_continue(ledger.entries(model), model, now)
        ]
        if not found:
            return dg.SkipReason("no decision that a release waits for")
        return dg.SensorResult(run_requests=[_request(one) for one in found])

    return _approvals


def _request(release: Release) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{release.model}/{release.envelope}",
        asset_selection=[dg.AssetKey([release.model, stage]) for stage in release.stages],
        tags={"mlcicd/decision": release.envelope[:32], "mlcicd/decided_by": release.by[:60]},
    )


class DecisionConfig(dg.Config):
    """A decision about one version; as the options of `mlcicd approve` and `mlcicd reject`."""

    model: str = Field(description="A declared model.")
    version: int = Field(ge=1, description="The registered version.")
    decision: Literal["approve", "reject"] = Field(description="What is decided.")
    by: str = Field(description="Who decides: a name or an e-mail address.")
    reason: str = Field(description="Why.")
    expires: str = Field(default="", description="How long it may be used: 12h. As declared when empty.")


def decision_job(catalogue: Callable[[], Catalogue] = load_all) -> dg.JobDefinition:
    """The decision from the UI's launchpad, signed by the pipeline's key: never by a person's own."""

    @dg.op(name="decide", out=dg.Out(dg.Nothing), description="Signs a decision about one version.")
    def _decide(
        context: dg.OpExecutionContext,
        config: DecisionConfig,
        registry: dg.ResourceParam[Registry],
        tracking: dg.ResourceParam[Tracking],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
    ) -> Iterator[dg.Output[None]]:
        lane = declared_model(catalogue(), config.model)
        # Whoever may use the UI is not whoever's key lies on this machine.
        desk = Desk(lane, registry, tracking, ledger, keys, datetime.now(UTC), own_keys=False)
        with expected_failures():
            signed = _decided(desk, config)
        context.log.info(f"{config.model} version {config.version}: {config.decision} by {config.by}")
        yield dg.Output(None, metadata=_shown(signed))

    @dg.job(name="decision", description="Approve or reject a version that waits for a person.")
    def _decision() -> None:
        _decide()

    return _decision


def _decided(desk: Desk, config: DecisionConfig) -> Signed:
    try:
        return decide(
            desk,
            config.version,
            config.decision,
            by=config.by,
            reason=config.reason,
            expires=config.expires,
        )
    except (Refused, BadDecision) as refused:
        raise dg.Failure(str(refused), allow_retries=False) from refused


def _shown(signed: Signed) -> dict[str, Any]:
    made = signed.decision
    return {
        "digest": made.digest,
        "by": made.by,
        "reason": made.reason,
        "until": made.expires,
        "signed by": signed.signed_by,
    }


def approval_definitions(catalogue: Callable[[], Catalogue] = load_all) -> Sequence[Any]:
    """Sensor and job, together."""
    return approvals_sensor(catalogue), decision_job(catalogue)
