"""Budgets are measured from the ledger, where failed trainings left their cost as well."""

from datetime import UTC, datetime

import pytest

from mlcicd_assets.assets.training_cost import cost_details, metered_training
from mlcicd_assets.automation.requests.budgets import budget_alerts, override, spent_by
from mlcicd_assets.automation.requests.policy import Policy
from mlcicd_assets.ml.training.cost import TrainingCost
from mlcicd_assets.release.audit import events
from mlcicd_assets.release.history import TRAINED, TRAINING_FAILED
from tests.fakes.ledger import MemoryLedger

NOW = datetime(2026, 1, 31, 20, tzinfo=UTC)  # the fake ledger writes at noon


def policy(budget: str = "10 cpu-hours/month", timezone: str = "UTC") -> Policy:
    return Policy.of("m", {"owner": "team:a", "retrain": {"budget": budget, "timezone": timezone}})


def trained(ledger: MemoryLedger, hours: float, action: str = TRAINED) -> None:
    cost = TrainingCost(wall_seconds=1, cpu_seconds=hours * 3600, gpu_seconds=0, peak_memory_mb=1)
    ledger.append(action, "m", actor="run 1", details=cost_details(cost))


def test_failed_trainings_count_and_those_without_a_known_cost_do_not():
    ledger = MemoryLedger()
    trained(ledger, 3)
    trained(ledger, 2, TRAINING_FAILED)
    ledger.append(TRAINED, "m", actor="run 0", details={"run": "from before costs were kept"})

    found = spent_by(policy(), ledger.entries("m"), NOW)

    assert found is not None
    assert (found.spent, found.last, found.month) == (5, 2, "2026-01")


def test_without_a_budget_nothing_is_measured():
    assert spent_by(Policy.of("m", {"retrain": {}}), [], NOW) is None
    assert spent_by(Policy.of("m", {}), [], NOW) is None


def test_the_month_ends_where_the_model_lives():
    ledger = MemoryLedger()
    trained(ledger, 3)

    found = spent_by(policy(timezone="Asia/Kolkata"), ledger.entries("m"), NOW)

    assert found is not None
    assert (found.spent, found.month) == (0, "2026-02")


def test_a_training_that_fails_leaves_its_cost_and_not_its_message():
    ledger = MemoryLedger()

    with pytest.raises(RuntimeError), metered_training(ledger, "m", "run 7"):
        raise RuntimeError("password=hunter2")

    (line,) = ledger.entries("m")
    assert (line.action, line.actor, line.reason) == (TRAINING_FAILED, "run 7", "RuntimeError")
    assert TrainingCost.model_validate(line.details["cost"]).wall_seconds >= 0


def test_an_override_is_of_this_month_and_in_the_ledger_for_good():
    ledger = MemoryLedger()
    trained(ledger, 11)

    override(ledger, policy(), NOW, by="asha", reason="the bank asks")

    found = spent_by(policy(), ledger.entries("m"), NOW)
    assert found is not None
    assert found.overridden == "asha: the bank asks"
    later = spent_by(policy(), ledger.entries("m"), datetime(2026, 2, 1, tzinfo=UTC))
    assert later is not None
    assert later.overridden == ""
    told = events(ledger.entries("m"), "m")[-1]
    assert (told.text, told.loud) == ("OVERRIDE: the budget of 2026-01 may be exceeded", True)
    with pytest.raises(ValueError, match="no budget to override"):
        override(ledger, Policy.of("m", {}), NOW, by="asha", reason="x")


@pytest.mark.parametrize(
    ("hours", "severity", "title"),
    [
        ([2, 2], None, ""),
        ([7, 1.5], "warning", "m: 85% of the budget of 10 cpu-hours/month is spent in 2026-01"),
        ([11], "critical", "m: the budget of 10 cpu-hours/month is spent: 11 cpu-hours in 2026-01"),
    ],
)
def test_somebody_is_told_before_it_is_spent_and_when(hours: list[float], severity: str | None, title: str):
    ledger = MemoryLedger()
    for one in hours:
        trained(ledger, one)
    found = spent_by(policy(), ledger.entries("m"), NOW)
    assert found is not None

    alerts = list(budget_alerts({"m": policy()}, {"m": found}))

    assert [(one.severity, one.title) for one in alerts] == ([(severity, title)] if severity else [])
    assert all((one.cause, one.owner) == ("budget/m/2026-01", "team:a") for one in alerts)
