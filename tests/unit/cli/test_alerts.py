"""`mlcicd alerts`: what stands, who takes care of it, and the look that cron takes."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from resources.protocols import Alert
from tests.fakes.releases import MODEL

ALERT = Alert(
    cause=f"gates/{MODEL}/evaluation_report",
    state="brier",
    severity="warning",
    title=f"{MODEL} failed a blocking check: brier",
    subject=f"model:{MODEL}",
    owner="team:risk",
    command=f"mlcicd status {MODEL}",
)


def test_nothing_stands(mlcicd: Callable[..., Result], world: Any) -> None:
    assert mlcicd(world, "alerts").output == "nothing needs a person\n"


def test_what_stands_with_the_command_to_run(mlcicd: Any, world: Any) -> None:
    world.alerts.raise_alert(ALERT)
    world.alerts.raise_alert(ALERT)

    shown = mlcicd(world, "alerts").output

    assert "failed a blocking check: brier" in shown
    assert f"{ALERT.cause}: mlcicd status {MODEL}" in shown
    (one,) = mlcicd.json(world, "alerts")
    assert (one["cause"], one["count"], one["owner"]) == (ALERT.cause, 2, "team:risk")


def test_an_alert_is_acknowledged_or_ended_by_a_person(mlcicd: Callable[..., Result], world: Any) -> None:
    world.alerts.raise_alert(ALERT)

    assert mlcicd(world, "alerts", "ack", ALERT.cause, "--by", "ada").exit_code == 0
    assert "ada takes care" in mlcicd(world, "alerts").output
    done = mlcicd(world, "alerts", "resolve", ALERT.cause, "--by", "ada", "--reason", "the model is gone")
    assert done.exit_code == 0
    assert mlcicd(world, "alerts").output == "nothing needs a person\n"
    assert "resolved" in mlcicd(world, "alerts", "--all").output


@pytest.mark.parametrize(
    "command", [["ack", "gates/nothing", "--by", "a"], ["resolve", "x", "--by", "a", "--reason", "b"]]
)
def test_a_cause_that_does_not_stand_is_bad_usage(
    mlcicd: Callable[..., Result], world: Any, command: list[str]
) -> None:
    result = mlcicd(world, "alerts", *command)

    assert result.exit_code == 2
    assert "see: mlcicd alerts" in result.stderr


def test_a_test_message_goes_by_every_channel(mlcicd: Callable[..., Result], world: Any) -> None:
    assert mlcicd(world, "alerts", "test").output == "memory: sent\n"
    assert "this is a test" in world.alerts.sent[0].head


def test_a_channel_that_fails_the_test_is_named(
    mlcicd: Callable[..., Result], world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.alerts, "try_channels", lambda _: {"chat": "the webhook answers 404"})

    result = mlcicd(world, "alerts", "test")

    assert result.exit_code == 1
    assert result.output == "chat: the webhook answers 404\n"


def test_the_look_of_cron_tells_and_exits_1_while_something_critical_stands(
    mlcicd: Callable[..., Result], world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("mlcicd_assets.cli.init.first_open", lambda _: None)
    world.environment["DAGSTER_HOME"] = str(tmp_path / "dagster")
    world.alerts.raise_alert(ALERT)
    assert mlcicd(world, "alerts", "check").exit_code == 0

    world.ledger.append("rolled_back", MODEL, actor="run 1", version=1, digest="a" * 64, reason="errors")
    result = mlcicd(world, "alerts", "check")

    assert result.exit_code == 1
    assert f"{MODEL}: version 1 was rolled back: errors" in result.output
    assert len(world.alerts.sent) == 2
