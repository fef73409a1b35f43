"""The sensor that advances long rollouts, and the rollback from the UI, as a job."""

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import dagster as dg
from pydantic import Field

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.rollouts.actions import World
from mlcicd_assets.assets.rollouts.driver import Rollouts, utc_now
from mlcicd_assets.assets.rollouts.metadata import rollout_metadata
from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from mlcicd_assets.automation.declared_models import declared_model
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import State
from resources.protocols import (
    Keys,
    Lake,
    Ledger,
    Predictions,
    Registry,
    Reports,
    ResourceError,
    ServingTarget,
    Tracking,
)

_INTERVAL_S = 5
_TICK_S = 1.0  # a tick's work; what is left is done by the next one
_ROLLBACK_S = 180.0
_DATA_VERSION = "dagster/data_version"  # as Dagster names it in events that no run makes
_Event = dg.AssetMaterialization | dg.AssetObservation


@cache
def _loaded() -> Catalogue:
    """The declarations that this process has loaded: reading them takes most of a tick."""
    return load_all()


def rollouts_sensor(catalogue: Callable[[], Catalogue] = _loaded) -> dg.SensorDefinition:
    """Advances every rollout that goes on; requests no run."""

    @dg.sensor(
        name="rollouts",
        # It does nothing without a release that somebody began.
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_INTERVAL_S,
        description="Advances rollouts: measures, moves weights, promotes, takes back; a second at most.",
    )
    def _rollouts(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
        tracking: dg.ResourceParam[Tracking],
        keys: dg.ResourceParam[Keys],
        serving: dg.ResourceParam[ServingTarget],
        predictions: dg.ResourceParam[Predictions],
        lake: dg.ResourceParam[Lake],
        reports: dg.ResourceParam[Reports],
    ) -> dg.SensorResult | dg.SkipReason:
        world = World(ledger, registry, tracking, keys, serving, predictions, lake)
        told: list[str] = []
        events: list[_Event] = []
        for lane in catalogue().models.values():
            rollouts = Rollouts(lane, world)
            try:
                state = tick(rollouts)
            except (ResourceError, Refused) as error:
                context.log.warning(str(error))  # tried again by the next tick; other models' rollouts go on
                told.append(str(error))
                continue
            if state is not None:
                told.append(rollouts.describe(state))
                events += ended_events(rollouts, state, reports)
        reason = "; ".join(told) or "no rollout goes on"
        if events:
            return dg.SensorResult(skip_reason=reason, asset_events=events)
        return dg.SkipReason(reason)

    return _rollouts


def tick(rollouts: Rollouts, budget_s: float = _TICK_S) -> State | None:
    """Passes until nothing changes or the budget is used; None where nothing went on before."""
    before = rollouts.active()
    if before is None:
        rollouts.advance()  # traffic that was moved by hand goes back to the champion
        return None
    deadline = time.monotonic() + budget_s
    while time.monotonic() < deadline:
        state = rollouts.advance()
        if state is None or state.ended or state.revision == before.revision:
            return state
        before = state
    return before


def ended_events(rollouts: Rollouts, state: State, reports: Reports) -> Iterator[_Event]:
    """What the deployment asset shows of a rollout that the sensor brought to its end."""
    if not state.ended:
        return
    key = dg.AssetKey([rollouts.model, "deployment"])
    shown = rollout_metadata(rollouts, state, utc_now(), reports)
    if state.phase == "rolled_back":
        yield dg.AssetObservation(key, description=rollouts.describe(state), metadata=shown)
        return
    yield dg.AssetMaterialization(
        key,
        metadata={"version": state.target.version, "digest": state.target.digest, **shown},
        tags={_DATA_VERSION: state.target.digest},
    )


class RollbackConfig(dg.Config):
    """A rollback; as the options of `mlcicd rollback`."""

    model: str = Field(description="A declared model.")
    by: str = Field(min_length=1, description="Who asks for it: a name or an e-mail address.")
    reason: str = Field(min_length=1, description="Why.")
    version: int = Field(default=0, ge=0, description="Back to this version; 0: to the one before.")


def rollback_job(catalogue: Callable[[], Catalogue] = load_all) -> dg.JobDefinition:
    """The rollback from the UI's launchpad."""

    @dg.op(
        name="roll_back", out=dg.Out(dg.Nothing), description="Gives the traffic back to an earlier version."
    )
    def _roll_back(
        context: dg.OpExecutionContext,
        config: RollbackConfig,
        ledger: dg.ResourceParam[Ledger],
        registry: dg.ResourceParam[Registry],
        tracking: dg.ResourceParam[Tracking],
        keys: dg.ResourceParam[Keys],
        serving: dg.ResourceParam[ServingTarget],
        reports: dg.ResourceParam[Reports],
    ) -> Iterator[dg.Output[None]]:
        lane = declared_model(catalogue(), config.model)
        rollouts = Rollouts(lane, World(ledger, registry, tracking, keys, serving))
        with expected_failures():
            shown = _rolled_back(rollouts, config, reports)
        context.log.info(f"{config.model}: rolled back by {config.by}: {config.reason}")
        yield dg.Output(None, metadata=shown)

    @dg.job(name="rollback", description="Take a model's champion back to an earlier version.")
    def _rollback() -> None:
        _roll_back()

    return _rollback


def _rolled_back(rollouts: Rollouts, config: RollbackConfig, reports: Reports) -> dict[str, Any]:
    try:
        asked = ask_rollback(rollouts, config.version or None, by=config.by, reason=config.reason)
        if asked is None:
            return {"rollback": "nothing to do", "champion": rollouts.actions.champion() or 0}
        state = rollouts.run(patience_s=_ROLLBACK_S)
    except Refused as refused:
        raise dg.Failure(str(refused), allow_retries=False) from refused
    shown = rollout_metadata(rollouts, state, utc_now(), reports)
    if state.phase != "rolled_back":
        raise dg.Failure(rollouts.describe(state), metadata=shown, allow_retries=False)
    return {"champion": rollouts.actions.champion() or 0, **shown}
