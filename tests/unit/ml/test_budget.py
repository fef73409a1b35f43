"""What a month's budget lets through, and when somebody is told."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.budget import Budget, month_of, spending
from mlcicd_assets.ml.training.cost import Rates, TrainingCost

RATES = Rates(cpu_hour=2.0, gpu_hour=10.0, currency="EUR")


def used(cpu_hours: float = 0.0, gpu_hours: float = 0.0) -> TrainingCost:
    return TrainingCost(
        wall_seconds=1, cpu_seconds=cpu_hours * 3600, gpu_seconds=gpu_hours * 3600, peak_memory_mb=1
    )


def at(day: int, hour: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def test_only_the_month_counts_and_the_newest_training_says_what_the_next_one_takes():
    costs = [(at(31, month=10), used(5)), (at(2), used(3)), (at(9), used(1))]

    found = spending(Budget.parse("20 cpu-hours/month"), "2026-11", "UTC", costs, None)

    assert (found.spent, found.last, found.level, found.refusal) == (4, 1, "within", "")


def test_a_month_begins_where_the_model_lives():
    late = datetime(2026, 10, 31, 20, tzinfo=UTC)

    assert month_of(late, "UTC") == "2026-10"
    assert month_of(late, "Asia/Kolkata") == "2026-11"


@pytest.mark.parametrize(
    ("hours", "level", "refusal"),
    [
        ([7, 0.9], "within", ""),
        ([4, 4], "nearly", "has 2 cpu-hours left in 2026-11, and a training takes about 4 cpu-hours"),
        ([6, 2], "nearly", ""),
        ([9, 1], "exhausted", "the budget of 10 cpu-hours/month is spent: 10 cpu-hours in 2026-11"),
        ([11], "exhausted", "11 cpu-hours in 2026-11"),
    ],
)
def test_somebody_is_told_at_eighty_percent_and_nothing_begins_beyond(
    hours: list[float], level: str, refusal: str
):
    costs = [(at(day + 1), used(one)) for day, one in enumerate(hours)]

    found = spending(Budget.parse("10 cpu-hours/month"), "2026-11", "UTC", costs, None)

    assert refusal in found.refusal
    assert bool(refusal) == bool(found.refusal)
    assert found.level == ("exhausted" if found.refusal else level)


def test_money_is_what_hours_cost():
    found = spending(Budget.parse("50 EUR/month"), "2026-11", "UTC", [(at(1), used(5, 3))], RATES)

    assert found.spent == pytest.approx(40)
    with pytest.raises(ValueError, match="needs 'rates' with currency: USD"):
        spending(Budget.parse("50 USD/month"), "2026-11", "UTC", [(at(1), used(5))], RATES)


@given(st.lists(st.floats(0, 5), max_size=30), st.floats(0.1, 20))
def test_trainings_that_cost_what_the_last_did_never_go_beyond(hours: list[float], amount: float):
    # given a caller that asks before each training, and trainings that take what the one before took at most
    budget, costs = Budget(amount, "cpu-hours"), []
    for one in sorted(hours, reverse=True):
        if not spending(budget, "2026-11", "UTC", costs, None).refusal:
            costs.append((at(1), used(one)))

    # then only the very first, of which nothing was known, may be larger than the budget
    first = costs[0][1].cpu_seconds / 3600 if costs else 0
    assert spending(budget, "2026-11", "UTC", costs, None).spent <= max(amount, first) + 1e-9
