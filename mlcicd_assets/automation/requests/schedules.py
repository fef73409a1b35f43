"""`<model>_retrain`: the declared schedule as Dagster's own; its tick asks for a run, and makes none."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlcicd_assets.automation.requests.scopes import model_scope
from mlcicd_assets.automation.switch import default_schedule_status
from mlcicd_assets.ml.catalogue import ModelLane
from resources.protocols import Request, Requests

# A tick comes within seconds; one that comes later than this was missed, and is being made up for.
_LATE = timedelta(minutes=15)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def retrain_schedules(
    lane: ModelLane, clock: Callable[[], datetime] = utc_now
) -> Sequence[dg.ScheduleDefinition]:
    """One where the model declares one.

    Of times that were missed while nothing ran, Dagster evaluates the last one only: so there is one request,
    by that time's own fingerprint, and none where `catch_up` is none.
    """
    retrain, model = lane.model.retrain, lane.model.name
    if retrain is None or retrain.schedule is None:
        return []

    @dg.schedule(
        name=f"{model}_retrain",
        cron_schedule=retrain.schedule,
        execution_timezone=retrain.timezone,
        target=dg.AssetSelection.keys(dg.AssetKey([model, "trained_model"])),
        default_status=default_schedule_status(),
        description=f"Asks for {model} to be trained: {retrain.schedule} {retrain.timezone}.",
    )
    def _retrain(
        context: dg.ScheduleEvaluationContext, requests: dg.ResourceParam[Requests]
    ) -> dg.SkipReason:
        due = context.scheduled_execution_time
        if retrain.catch_up == "none" and clock() - due > _LATE:
            return dg.SkipReason(f"{due:%Y-%m-%d %H:%M} was missed, and is not made up for: catch_up is none")
        asked = requests.add(scheduled(model, due, retrain.timezone))
        return dg.SkipReason(
            f"asked for {model} to be trained: see 'mlcicd requests'"
            if asked
            else f"{due:%Y-%m-%d %H:%M} was asked for before"
        )

    return [_retrain]


def scheduled(model: str, due: datetime, timezone: str) -> Request:
    """The request of one time: the same instant again is the same request, whatever the clocks show."""
    return Request(
        scope=model_scope(model),
        cause="schedule",
        fingerprint=due.astimezone(UTC).isoformat(),
        reason=f"scheduled for {due:%Y-%m-%d %H:%M} {timezone}",
        evidence={"due": due.isoformat()},
        by=f"{model}_retrain",
    )
