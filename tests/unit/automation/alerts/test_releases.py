"""What of the releases needs a person, as the ledger tells it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlcicd_assets.automation.alerts.asked import months_over, request_alerts, told_by_budget
from mlcicd_assets.automation.alerts.releases import release_alerts
from resources.protocols import KeptRequest, Request, RequestState
from tests.fakes.ledger import MemoryLedger

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def ledger() -> MemoryLedger:
    made = MemoryLedger()
    made.append("trained", "returns", actor="run 1", digest=OLD)
    made.append("promoted", "returns", actor="run 1", version=1, digest=OLD)
    return made


def told(ledger: MemoryLedger, now: datetime = NOW) -> dict[str, tuple[str, str]]:
    found = release_alerts(ledger.entries(), {"returns": "team:risk"}, now)
    assert all(one.owner == "team:risk" and one.command and one.subject == "model:returns" for one in found)
    return {one.cause: (one.severity, one.title) for one in found}


def asks(ledger: MemoryLedger, action: str, **more: Any) -> None:
    given = {"actor": "ada", "version": 2, "digest": NEW, **more}
    ledger.append(action, "returns", **given)


def test_nothing_needs_anybody_after_a_release(ledger: MemoryLedger) -> None:
    assert told(ledger) == {}


def test_a_rollback_nobody_asked_for_is_critical_until_the_next_promotion(ledger: MemoryLedger) -> None:
    asks(ledger, "rolled_back", actor="run 2", reason="errors")
    assert told(ledger) == {"rollback/returns": ("critical", "returns: version 2 was rolled back: errors")}
    asks(ledger, "promoted", version=3)
    assert told(ledger) == {}


def test_a_rollback_by_a_person_is_a_warning(ledger: MemoryLedger) -> None:
    asks(ledger, "rollback_completed", reason="slow")
    assert told(ledger)["rollback/returns"][0] == "warning"


def test_a_held_rollout_needs_somebody_until_it_goes_on(ledger: MemoryLedger) -> None:
    asks(ledger, "rollout_held", actor="run 2", reason="inconclusive: 3 requests")
    assert "inconclusive: 3 requests" in told(ledger)["rollout/returns"][1]
    asks(ledger, "rollout_resumed")
    assert told(ledger) == {}


def test_an_override_stands_while_it_may_be_used_and_while_it_serves(ledger: MemoryLedger) -> None:
    until = (NOW + timedelta(hours=4)).isoformat()
    asks(
        ledger, "overridden", reason="night", details={"gates": ["brier"], "expires": until, "envelope": "e"}
    )
    cause = f"override/returns/{NEW[:12]}"

    assert told(ledger)[cause] == ("critical", f"returns: ada let {NEW[:12]} past brier: night")
    assert told(ledger, NOW + timedelta(hours=5)) == {}
    asks(ledger, "promoted", actor="run 2")
    assert cause in told(ledger, NOW + timedelta(days=30))
    asks(ledger, "promoted", actor="run 3", digest="c" * 64, version=3)
    assert told(ledger, NOW + timedelta(days=30)) == {}


def test_an_approval_that_waits_expires_soon_or_has_expired(ledger: MemoryLedger) -> None:
    asks(ledger, "trained", version=None, actor="run 2")
    assert told(ledger) == {}
    asks(ledger, "approval_requested", actor="run 2")
    assert "waits for a person" in told(ledger)["approval/returns"][1]

    expires = (NOW + timedelta(days=5)).isoformat()
    asks(ledger, "approved", details={"expires": expires, "envelope": "e"})
    assert told(ledger) == {}
    assert "expires at" in told(ledger, NOW + timedelta(days=4, hours=1))["approval/returns"][1]
    assert "expired at" in told(ledger, NOW + timedelta(days=6))["approval/returns"][1]

    asks(ledger, "rejected", details={"expires": expires, "envelope": "f"})
    assert told(ledger, NOW + timedelta(days=6)) == {}


def kept(number: int, state: RequestState, answer: str = "", scope: str = "model:returns") -> KeptRequest:
    request = Request(scope, "drift", str(number), "amount drifted")
    return KeptRequest(number, request, NOW.isoformat(), state, NOW.isoformat(), answer=answer)


def test_a_refused_request_stands_until_one_of_its_scope_is_done() -> None:
    refused = kept(1, "refused", "the budget of 20 cpu-hours/month is spent: 20.5 in 2026-11")

    (alert,) = request_alerts([refused, kept(2, "done", scope="dataset:sales")], {"returns": "team:risk"})
    assert alert.cause == "request/model:returns"
    assert alert.owner == "team:risk"
    assert "20 cpu-hours/month is spent" in alert.title

    again = kept(2, "refused", "the budget of 20 cpu-hours/month is spent: 21.5 in 2026-11")
    (later,) = request_alerts([again, refused], {})
    assert later.state == alert.state  # the same refusal a day later
    assert request_alerts([kept(3, "pending"), again, refused], {})
    assert request_alerts([kept(3, "done"), again, refused], {}) == []


def test_a_request_whose_run_failed_is_told_as_the_run() -> None:
    failed = kept(1, "failed", "its run failed")

    assert request_alerts([replace(failed, run="8f14e45f")], {}) == []
    assert request_alerts([failed], {})


def test_a_refusal_for_want_of_budget_is_the_budget_s_alert() -> None:
    (alert,) = request_alerts([kept(1, "refused", "the budget of 20 cpu-hours/month is spent")], {})

    assert told_by_budget(alert, ["budget/returns/2026-11"])
    assert not told_by_budget(alert, ["budget/other/2026-11"])


def test_a_budget_s_alert_ends_with_its_month_in_every_time_zone() -> None:
    standing = ["budget/returns/2026-10", "budget/returns/2026-11", "request/model:returns"]

    assert months_over(standing, NOW) == ["budget/returns/2026-10"]
    assert months_over(standing, datetime(2026, 12, 1, 5, tzinfo=UTC)) == ["budget/returns/2026-10"]
    assert len(months_over(standing, datetime(2026, 12, 2, 5, tzinfo=UTC))) == 2
