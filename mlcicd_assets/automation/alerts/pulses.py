"""Reads from Dagster's storage when its daemon, sensors and schedules last ticked."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

from mlcicd_assets.automation.alerts.heartbeat import DaemonPulse, Pulse

_ON = {InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE}
_LOOKED_AT = 3  # of the newest ticks
_SHOWN = 300
# Parts that tick all the time; others beat only while there is work for them.
_PARTS = {"SENSOR", "SCHEDULER", "QUEUED_RUN_COORDINATOR"}


def daemon_pulses(instance: dg.DagsterInstance) -> list[DaemonPulse]:
    """When each part of the daemon last beat; empty where no daemon has ever run."""
    beats = instance.get_daemon_heartbeats()
    return [
        DaemonPulse(name, datetime.fromtimestamp(beat.timestamp, UTC))
        for name, beat in beats.items()
        if name in _PARTS
    ]


def pulses(instance: dg.DagsterInstance, names: Collection[str]) -> list[Pulse]:
    """The sensors and schedules of these names that are switched on."""
    if instance.schedule_storage is None:  # an instance in memory, which no daemon serves
        return []
    states = instance.all_instigator_state(instigator_statuses=_ON)
    return [pulse for state in states if state.name in names for pulse in _pulse(instance, state)]


def _pulse(instance: dg.DagsterInstance, state: Any) -> Iterator[Pulse]:
    data = state.instigator_data
    if data is None:
        return
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_LOOKED_AT)
    ended = [tick for tick in ticks if tick.status != TickStatus.STARTED]
    failures = next(
        (count for count, tick in enumerate(ended) if tick.status != TickStatus.FAILURE), len(ended)
    )
    error = _error(ended[0]) if failures else ""
    if state.instigator_type == InstigatorType.SENSOR:
        moments = (
            data.last_tick_timestamp,
            data.last_tick_start_timestamp,
            data.last_sensor_start_timestamp,
        )
        last = max((moment for moment in moments if moment), default=None)
        yield Pulse(state.name, _time(last), timedelta(seconds=data.min_interval or 30), failures, error)
        return
    last = max((tick.timestamp for tick in ticks), default=data.start_timestamp)
    if last:
        due = _next(data.cron_schedule, last)
        yield Pulse(state.name, _time(last), timedelta(0), failures, error, due)


def _next(cron: Any, last: float) -> datetime:
    """The next time after the last tick; a day's slack, as the schedule's time zone is not stored with it."""
    from dagster._utils.schedules import schedule_execution_time_iterator

    times = schedule_execution_time_iterator(last + 1, cron, "UTC")
    return next(iter(times)) + timedelta(days=1)


def _error(tick: Any) -> str:
    error = tick.tick_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split())[:_SHOWN] if error is not None else "no reason given"


def _time(moment: float | None) -> datetime | None:
    return datetime.fromtimestamp(moment, UTC) if moment else None
