"""A person's decision, signed, kept with the run, and written to the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlcicd_assets.release.approval import open_approval
from tests.fakes.releases import PUBLIC

DECIDE = ("--by", "ada@example.org", "--reason", "looked at the slices")


@pytest.fixture
def risky(make_world: Callable[..., Any]) -> Any:
    world = make_world(risk="high")
    world.registered()
    return world


def test_an_approval_is_signed_kept_and_written_down(risky: Any, mlcicd: Any) -> None:
    result = mlcicd(risky, "approve", "shop_risk", "1", *DECIDE, "--expires", "12h")

    assert result.exit_code == 0, result.stderr
    assert "approved by ada@example.org" in result.stdout
    (run,) = risky.tracking.runs
    approval = open_approval((risky.tracking.root / run / "approval.json").read_bytes(), [PUBLIC])
    assert (approval.decision, approval.version, approval.digest) == ("approve", 1, risky.made.digest)
    length = datetime.fromisoformat(approval.expires) - datetime.fromisoformat(approval.at)
    assert timedelta(hours=11, minutes=59) <= length <= timedelta(hours=12, minutes=1)
    line = risky.ledger.entries("shop_risk")[-1]
    assert (line.action, line.actor, line.reason) == ("approved", "ada@example.org", "looked at the slices")
    assert (line.version, line.digest) == (1, risky.made.digest)


def test_a_rejection_replaces_an_approval(risky: Any, mlcicd: Any) -> None:
    mlcicd(risky, "approve", "shop_risk", "1", *DECIDE)

    decision = mlcicd.json(risky, "reject", "shop_risk", "1", *DECIDE)

    assert decision["decision"] == "reject"
    assert datetime.fromisoformat(decision["expires"]) > datetime.now(UTC) + timedelta(days=365)
    refused = mlcicd(risky, "verify", "shop_risk@1")
    assert refused.exit_code == 1
    assert "ada@example.org rejected it" in refused.stdout
    assert risky.ledger.entries("shop_risk")[-1].action == "rejected"


def test_a_rejected_champion_goes_on_serving_and_that_is_told(
    make_world: Callable[..., Any], mlcicd: Any
) -> None:
    world = make_world(risk="high")
    world.champion()

    result = mlcicd(world, "reject", "shop_risk", "1", *DECIDE)

    assert "it is the champion and goes on serving" in result.stdout


def test_what_failed_its_gates_cannot_be_approved(make_world: Callable[..., Any], mlcicd: Any) -> None:
    world = make_world(risk="high")
    world.registered(gates=[{"name": "roc_auc", "value": 0.5, "bound": ">= 0.60", "passed": False}])

    result = mlcicd(world, "approve", "shop_risk", "1", *DECIDE)

    assert result.exit_code == 1
    assert "gate 'roc_auc' failed" in result.stderr
    (run,) = world.tracking.runs
    assert not world.tracking.has(run, "approval.json")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shop_risk", "2", *DECIDE], "the registry has no version 2 of shop_risk"),
        (["shop_risk", "1", *DECIDE, "--expires", "soon"], "--expires: a duration reads like"),
        (["shop_risk", "1", "--by", " ", "--reason", "x"], "--by: "),
        (["shop_risk", "1", "--by", "ada"], "Missing option '--reason'"),
        (["shop_risk", "0", *DECIDE], "Invalid value for 'VERSION'"),
    ],
)
def test_bad_usage_is_one_line_and_changes_nothing(
    risky: Any, mlcicd: Any, arguments: list[str], told: str
) -> None:
    before = len(risky.ledger.entries())

    result = mlcicd(risky, "approve", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(risky.ledger.entries()) == before


def test_low_risk_asks_nobody(world: Any, mlcicd: Any) -> None:
    world.registered()

    result = mlcicd(world, "approve", "shop_risk", "1", *DECIDE)

    assert result.exit_code == 2
    assert "of low risk: no person is asked" in result.stderr
