"""One message per cause until it changes, whatever is thrown at it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from resources.alert_policy import AlertPolicy, is_flapping
from resources.protocols import Alert
from tests.fakes.alerts import MemoryAlerts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = 24 * 3600
ALERT = Alert("gates/returns", "roc_auc", "warning", "it failed", "model:returns", "team:risk")
POLICY = AlertPolicy(escalate_after={})


def played(events: list[tuple[float, str, str]]) -> MemoryAlerts:
    """Raise (state, severity) or resolve at these seconds."""
    alerts = MemoryAlerts(policy=POLICY)
    for second, state, severity in events:
        alerts.now = NOON + timedelta(seconds=second)
        if state:
            alerts.raise_alert(replace(ALERT, state=state, severity=severity))  # type: ignore[arg-type]
        else:
            alerts.resolve(ALERT.cause, reason="over")
        alerts.tell()
    return alerts


def test_26_000_failures_in_a_day_make_one_alert() -> None:
    alerts = played([(DAY * number / 26_000, "roc_auc", "warning") for number in range(26_000)])

    assert len(alerts.sent) == 1
    assert [one.count for one in alerts.standing()] == [26_000]


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 3600, allow_nan=False),
        st.sampled_from(["", "a", "b", "c", *"defghijk"]),
        st.just("warning"),
    ),
    max_size=120,
).map(lambda events: sorted(events, key=lambda one: one[0]))


@given(EVENTS)
def test_a_storm_within_the_cool_down_tells_a_handful(events: list[Any]) -> None:
    alerts = played(events)

    # Each new state, its end, and once that it flaps.
    assert len(alerts.sent) <= 2 * POLICY.changes + 1
    assert sum(message.kind == "flapping" for message in alerts.sent) <= 1


@given(EVENTS)
def test_what_is_recorded_is_what_was_seen_last(events: list[Any]) -> None:
    alerts = played(events)

    last = next((state for _, state, _ in reversed(events)), "")
    assert [one.alert.state for one in alerts.standing()] == ([last] if last else [])
    assert sum(one.count for one in alerts.rows) == sum(bool(state) for _, state, _ in events)


@given(EVENTS)
def test_once_quiet_people_know_how_it_stands(events: list[Any]) -> None:
    alerts = played(events)
    alerts.now = NOON + timedelta(hours=3)
    alerts.tell()

    if alerts.sent:
        told = alerts.sent[-1].standing
        (last,) = alerts.standing() or [None]
        assert bool(told.resolved_at) == (last is None)
        assert last is None or told.alert.state == last.alert.state
    else:
        assert alerts.standing() == []


def test_something_worse_is_told_even_while_it_flaps() -> None:
    alerts = played([(0, "a", "info"), (1, "", ""), (2, "a", "info"), (3, "", ""), (4, "a", "critical")])

    assert [message.kind for message in alerts.sent] == ["raised", "resolved", "flapping", "raised"]
    assert alerts.sent[-1].standing.alert.severity == "critical"
    assert is_flapping(alerts.memories[ALERT.cause], alerts.now, POLICY)


def test_what_comes_back_after_the_cool_down_is_told_anew() -> None:
    alerts = played([(0, "a", "warning"), (60, "", ""), (7300, "a", "warning")])

    assert [message.kind for message in alerts.sent] == ["raised", "resolved", "raised"]
