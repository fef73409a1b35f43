"""What should tick and does not."""

from datetime import UTC, datetime, timedelta

from mlcicd_assets.automation.alerts.heartbeat import DaemonPulse, Pulse, heartbeat_alerts

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ALIVE = [DaemonPulse("SENSOR", NOW - timedelta(seconds=20)), DaemonPulse("SCHEDULER", NOW)]


def pulse(seconds: float, **more: object) -> Pulse:
    return Pulse("git_trigger", NOW - timedelta(seconds=seconds), timedelta(seconds=60), **more)  # type: ignore[arg-type]


def causes(*pulses: Pulse, daemons: list[DaemonPulse] = ALIVE, awake: datetime | None = None) -> list[str]:
    return [f"{one.cause} {one.state}" for one in heartbeat_alerts(daemons, pulses, NOW, awake)]


def test_a_sensor_has_three_intervals_and_a_minute() -> None:
    assert causes(pulse(239)) == []
    assert causes(pulse(241)) == ["ticks/git_trigger silent"]


def test_one_that_ticks_often_is_given_the_daemon_s_interval() -> None:
    often = Pulse("rollouts", NOW - timedelta(seconds=100), timedelta(seconds=5))
    assert causes(often) == []


def test_a_machine_that_slept_is_no_alarm() -> None:
    assert causes(pulse(86_400), awake=NOW - timedelta(seconds=30)) == []
    assert causes(pulse(86_400), awake=NOW - timedelta(seconds=300)) == ["ticks/git_trigger silent"]


def test_two_failed_ticks_in_a_row_need_a_person() -> None:
    assert causes(pulse(5, failures=1, error="no route")) == []
    assert causes(pulse(5, failures=2, error="no route")) == ["ticks/git_trigger failing"]


def test_a_schedule_is_late_only_after_its_time() -> None:
    waiting = pulse(86_400, due=NOW + timedelta(hours=1))
    late = pulse(86_400, due=NOW - timedelta(hours=1))
    assert causes(waiting) == []
    assert causes(late) == ["ticks/git_trigger silent"]


def test_a_dead_daemon_is_one_cause_and_a_dead_part_another() -> None:
    dead = [DaemonPulse(name, NOW - timedelta(minutes=5)) for name in ("SENSOR", "SCHEDULER")]
    assert causes(pulse(1000), daemons=dead) == ["daemon/all dead"]
    assert causes(daemons=[dead[0], ALIVE[1]]) == ["daemon/SENSOR dead"]
    assert causes(daemons=[]) == []  # none was ever started here
