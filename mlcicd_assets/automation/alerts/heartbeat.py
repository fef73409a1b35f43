"""Whether what should tick does, and whether what ticks works. Pure: the pulses are read in `pulses.py`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from resources.protocols import Alert

PREFIXES = ("daemon/", "ticks/")
_INTERVALS = 3
_GRACE = timedelta(seconds=60)
_DAEMON_INTERVAL = timedelta(seconds=30)
_FAILED = 2  # ticks in a row before a person hears of it


@dataclass(frozen=True)
class Pulse:
    """A sensor or schedule that is switched on."""

    name: str
    last: datetime | None  # when it last ticked, or was switched on; None where it has not yet
    interval: timedelta
    failures: int = 0  # of the newest ticks, in a row
    error: str = ""  # what the last of them said
    due: datetime | None = None  # of a schedule: when its next tick after `last` was due


@dataclass(frozen=True)
class DaemonPulse:
    """One part of Dagster's daemon."""

    name: str
    last: datetime


def heartbeat_alerts(
    daemons: Sequence[DaemonPulse], pulses: Sequence[Pulse], now: datetime, awake: datetime | None = None
) -> list[Alert]:
    """What stands.

    `awake`: since when the watch itself runs without a gap, so that a machine that slept, or a daemon that
    was just started, is no alarm.
    """
    late = [one for one in daemons if now - one.last > _INTERVALS * _DAEMON_INTERVAL + _GRACE]
    if daemons and len(late) == len(daemons):
        return [_dead(max(late, key=lambda one: one.last), now)]
    return [
        *(_part(one, now) for one in late),
        *(alert for pulse in pulses for alert in _sensor(pulse, now, awake)),
    ]


def _dead(newest: DaemonPulse, now: datetime) -> Alert:
    return Alert(
        cause="daemon/all",
        state="dead",
        severity="critical",
        title="Dagster's daemon does not run: nothing starts by itself, no rollout advances",
        subject="daemon:all",
        owner="",
        evidence=_silence(newest, now),
        command="make dev",
    )


def _part(one: DaemonPulse, now: datetime) -> Alert:
    return Alert(
        cause=f"daemon/{one.name}",
        state="dead",
        severity="critical",
        title=f"the part {one.name} of Dagster's daemon does not answer",
        subject=f"daemon:{one.name}",
        owner="",
        evidence=_silence(one, now),
        command="make dev",
    )


def _silence(one: DaemonPulse, now: datetime) -> dict[str, str | int | float | bool | None]:
    return {"last heartbeat": one.last.isoformat(timespec="seconds"), "silent for": _ago(now, one.last)}


def _sensor(pulse: Pulse, now: datetime, awake: datetime | None) -> Iterator[Alert]:
    last = max((moment for moment in (pulse.last, awake) if moment is not None), default=None)
    if last is not None and now > _deadline(pulse, last):
        yield Alert(
            cause=f"ticks/{pulse.name}",
            state="silent",
            severity="critical",
            title=f"the sensor {pulse.name} has stopped ticking",
            subject=f"sensor:{pulse.name}",
            owner="",
            evidence={
                "last tick": pulse.last.isoformat(timespec="seconds") if pulse.last else "never",
                "silent for": _ago(now, last),
                "should tick every": f"{pulse.interval.total_seconds():g} s",
            },
            command="mlcicd alerts check",
        )
    elif pulse.failures >= _FAILED:
        yield Alert(
            cause=f"ticks/{pulse.name}",
            state="failing",
            severity="critical",
            title=f"the sensor {pulse.name} fails: {pulse.error}",
            subject=f"sensor:{pulse.name}",
            owner="",
            evidence={"failed ticks": pulse.failures, "error": pulse.error},
            command=f"dagster sensor preview -w workspace.yaml {pulse.name}",
        )


def _deadline(pulse: Pulse, last: datetime) -> datetime:
    if pulse.due is not None:
        return max(pulse.due, last) + _INTERVALS * _DAEMON_INTERVAL + _GRACE
    return last + _INTERVALS * max(pulse.interval, _DAEMON_INTERVAL) + _GRACE


def _ago(now: datetime, then: datetime) -> str:
    return f"{(now - then).total_seconds() / 60:.0f} min"
