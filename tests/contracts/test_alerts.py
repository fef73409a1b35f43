"""What every `Alerts` keeps to: one message per cause until it changes, whoever raises it and how often."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from resources.alert_message import Channel, ChannelError, Message
from resources.alert_policy import AlertPolicy
from resources.alerts_sql import SqlAlerts
from resources.protocols import Alert, Alerts, ResourceError
from tests.fakes.alerts import MemoryAlerts

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
GATES = Alert(
    cause="gates/returns",
    state="roc_auc",
    severity="critical",
    title="returns: the gate roc_auc failed",
    subject="model:returns",
    owner="team:risk",
    evidence={"roc_auc": 0.61, "bound": ">= 0.7"},
    command="mlcicd status returns",
)


@dataclass
class Heard:
    """Channels that keep what they are sent, and refuse while `broken`."""

    sent: list[Message] = field(default_factory=list)
    broken: bool = False
    unreadable: bool = False

    def policy(self) -> AlertPolicy:
        return AlertPolicy()

    def channels(self, alert: Alert, audience: str) -> dict[str, Channel]:
        if self.unreadable:
            raise ResourceError("alerts.yaml: routes: nonsense")
        return {"chat": self}

    def every(self) -> dict[str, Channel]:
        return {"chat": self}

    def send(self, message: Message) -> None:
        if self.broken:
            raise ChannelError("the webhook answers 500")
        self.sent.append(message)


@dataclass
class Desk:
    alerts: Alerts
    wait: Callable[[timedelta], None]
    sent: Callable[[], list[Message]]

    def told(self) -> list[tuple[str, str]]:
        self.alerts.tell()
        return [(message.kind, message.audience) for message in self.sent()]


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
    if request.param == "memory":
        fake = MemoryAlerts()

        def later(span: timedelta) -> None:
            fake.now += span

        return Desk(fake, later, lambda: fake.sent)
    heard, clock = Heard(), Clock()
    alerts = SqlAlerts(f"sqlite:///{tmp_path}/alerts.db", heard, clock)
    return Desk(alerts, clock.wait, lambda: heard.sent)


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def wait(self, span: timedelta) -> None:
        self.now += span


def test_a_cause_is_told_once_and_counted(desk: Desk) -> None:
    assert desk.alerts.raise_alert(GATES)
    assert not any(desk.alerts.raise_alert(GATES) for _ in range(20))

    assert desk.told() == [("raised", "owner")]
    (standing,) = desk.alerts.standing()
    assert standing.alert == GATES
    assert standing.count == 21
    assert standing.told == ("owner",)


def test_another_state_is_told_and_the_one_before_is_history(desk: Desk) -> None:
    desk.alerts.raise_alert(GATES)
    desk.wait(timedelta(minutes=5))

    assert desk.alerts.raise_alert(replace(GATES, state="roc_auc brier"))

    assert desk.told() == [("raised", "owner"), ("changed", "owner")]
    assert [one.alert.state for one in desk.alerts.standing()] == ["roc_auc brier"]
    newest, before = desk.alerts.history()
    assert newest.alert.state == "roc_auc brier"
    assert before.resolved_at


def test_what_ends_is_said_once_and_what_does_not_stand_cannot_end(desk: Desk) -> None:
    desk.alerts.raise_alert(GATES)
    desk.told()

    assert desk.alerts.resolve("gates/returns", reason="the gate passed")
    assert not desk.alerts.resolve("gates/returns", reason="the gate passed")
    assert not desk.alerts.resolve("gates/other", reason="never was")

    assert desk.told() == [("raised", "owner"), ("resolved", "owner")]
    assert desk.alerts.standing() == []
    assert desk.alerts.history()[0].resolution == "the gate passed"


def test_a_cause_that_comes_and_goes_is_told_once_as_flapping_and_once_when_it_settles(desk: Desk) -> None:
    for _ in range(50):
        desk.alerts.raise_alert(GATES)
        desk.wait(timedelta(minutes=2))
        desk.alerts.resolve("gates/returns", reason="passed")
        desk.wait(timedelta(minutes=2))
        desk.told()
    assert [kind for kind, _ in desk.told()] == ["raised", "resolved", "flapping"]

    desk.wait(timedelta(hours=2))

    assert [kind for kind, _ in desk.told()] == ["raised", "resolved", "flapping", "settled"]
    assert "resolved" in desk.sent()[-1].head


def test_on_call_is_told_where_nobody_acknowledges(desk: Desk) -> None:
    desk.alerts.raise_alert(GATES)
    desk.told()
    desk.wait(timedelta(minutes=29))
    assert desk.told() == [("raised", "owner")]

    desk.wait(timedelta(minutes=1))

    assert desk.told()[1:] == [("escalated", "on-call")]
    desk.wait(timedelta(days=1))
    assert len(desk.told()) == 2
    assert desk.alerts.standing()[0].told == ("owner", "on-call")


def test_whoever_acknowledges_keeps_on_call_asleep(desk: Desk) -> None:
    desk.alerts.raise_alert(GATES)
    desk.told()

    assert desk.alerts.acknowledge("gates/returns", by="asha")
    assert not desk.alerts.acknowledge("gates/other", by="asha")
    desk.wait(timedelta(days=1))

    assert desk.told() == [("raised", "owner")]
    assert desk.alerts.standing()[0].acknowledged_by == "asha"


def test_the_most_severe_come_first(desk: Desk) -> None:
    desk.alerts.raise_alert(replace(GATES, cause="a", severity="info"))
    desk.alerts.raise_alert(replace(GATES, cause="b", severity="critical"))
    desk.alerts.raise_alert(replace(GATES, cause="c", severity="warning"))

    assert [one.alert.cause for one in desk.alerts.standing()] == ["b", "c", "a"]


def test_cursors_are_kept(desk: Desk) -> None:
    assert desk.alerts.cursor("watch") is None
    assert desk.alerts.advance("watch", "17", expected=None)
    assert desk.alerts.advance("watch", "18", expected="17")
    assert not desk.alerts.advance("watch", "19", expected="17")  # another watch was quicker
    assert desk.alerts.cursor("watch") == "18"


# -- in a database only -----------------------------------------------------------------------------------


def test_a_channel_that_fails_is_tried_again_and_its_failure_is_seen(tmp_path: Path) -> None:
    heard, clock = Heard(broken=True), Clock()
    alerts = SqlAlerts(f"sqlite:///{tmp_path}/alerts.db", heard, clock)
    assert alerts.raise_alert(GATES)

    failed = alerts.tell()

    assert failed.failures == ("channel chat: the webhook answers 500",)
    assert failed.waiting == 1
    assert alerts.standing()[0].told == ()
    assert alerts.standing()[0].untold == "channel chat: the webhook answers 500"
    assert alerts.tell().failures == ()  # not tried again at once
    heard.broken = False
    clock.wait(timedelta(minutes=1))
    assert alerts.tell().sent == 1
    assert alerts.standing()[0].told == ("owner",)
    assert alerts.standing()[0].untold == ""


def test_settings_that_cannot_be_read_lose_nothing(tmp_path: Path) -> None:
    heard, clock = Heard(unreadable=True), Clock()
    alerts = SqlAlerts(f"sqlite:///{tmp_path}/alerts.db", heard, clock)
    alerts.raise_alert(GATES)

    assert alerts.tell().failures == ("alerts.yaml: routes: nonsense",)
    heard.unreadable = False
    clock.wait(timedelta(minutes=1))
    assert alerts.tell().sent == 1


def test_a_process_that_died_while_sending_holds_no_message(tmp_path: Path) -> None:
    class Killed(Heard):
        def send(self, message: Message) -> None:
            if not self.sent:
                self.sent.append(message)
                raise KeyboardInterrupt

    heard, clock = Killed(), Clock()
    alerts = SqlAlerts(f"sqlite:///{tmp_path}/alerts.db", heard, clock)
    alerts.raise_alert(GATES)
    with pytest.raises(KeyboardInterrupt):
        alerts.tell()
    assert alerts.tell().sent == 0  # it may still be going out
    clock.wait(timedelta(minutes=5))
    assert alerts.tell().sent == 1


def test_processes_that_see_the_same_failure_tell_of_it_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/alerts.db"
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        told = list(pool.map(_raise_and_tell, [(url, str(tmp_path / "sent"))] * 8))

    assert sum(told) == 1
    assert (tmp_path / "sent").read_text() == "raised\n"
    assert SqlAlerts(url, Heard()).standing()[0].count == 8


def _raise_and_tell(given: tuple[str, str]) -> bool:
    alerts = SqlAlerts(given[0], _writer(given[1]))
    told = alerts.raise_alert(GATES)
    alerts.tell()
    return told


def _writer(path: str) -> Any:
    class Writer(Heard):
        def send(self, message: Message) -> None:
            with Path(path).open("a") as file:
                file.write(f"{message.kind}\n")

    return Writer()


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="MLCICD_ALERTS_URL"):
        SqlAlerts(f"sqlite:///{tmp_path}/file/alerts.db", Heard()).standing()
    assert "secret" not in repr(SqlAlerts("postgresql://u:secret@h/d", Heard()))
