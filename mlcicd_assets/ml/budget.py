"""What a model's trainings may cost in a month, and what they have cost of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from mlcicd_assets.ml.training.cost import CPU_HOURS, GPU_HOURS, Rates, TrainingCost, money

NEARLY = 0.8  # of the budget: from here on somebody is told
_BUDGET = re.compile(r"^(\d+(?:\.\d+)?) (cpu-hours|gpu-hours|[A-Z]{3})/month$")


@dataclass(frozen=True)
class Budget:
    """An amount for each calendar month."""

    amount: float
    unit: str  # "cpu-hours", "gpu-hours", or a currency's ISO 4217 code

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read '20 cpu-hours/month' or '50 EUR/month'; raises ValueError in plain words."""
        found = _BUDGET.match(text)
        if not found:
            raise ValueError(f"a budget reads like '20 cpu-hours/month' or '50 EUR/month', not {text!r}")
        if not float(found[1]):
            raise ValueError("a budget of nothing lets nothing run: leave 'retrain' out instead")
        return cls(float(found[1]), found[2])

    @property
    def in_money(self) -> bool:
        """Whether it needs the price of an hour."""
        return self.unit not in (CPU_HOURS, GPU_HOURS)

    def cost(self, used: TrainingCost, rates: Rates | None) -> float:
        """A training's cost in the budget's unit; raises ValueError where money has no rates."""
        if self.unit == CPU_HOURS:
            return used.cpu_seconds / 3600
        if self.unit == GPU_HOURS:
            return used.gpu_seconds / 3600
        if rates is None or rates.currency != self.unit:
            raise ValueError(f"a budget in {self.unit} needs 'rates' with currency: {self.unit}")
        return money(used, rates)

    def shown(self, amount: float) -> str:
        """An amount for people: '3.25 cpu-hours'."""
        return f"{amount:.4g} {self.unit}"

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}/month"


@dataclass(frozen=True)
class Spending:
    """One month of a budget."""

    budget: Budget
    month: str  # "2026-11", in the model's time zone
    spent: float  # in the budget's unit; failed trainings too
    last: float | None = (
        None  # the newest training's cost: what the next one will need; None before the first
    )
    overridden: str = ""  # who let this month's budget be exceeded, and why

    @property
    def share(self) -> float:
        """What is spent of the budget; may be more than 1."""
        return self.spent / self.budget.amount

    @property
    def level(self) -> Literal["within", "nearly", "exhausted"]:
        """Nearly from 80 %; exhausted where another training like the newest would go beyond it."""
        if self.refusal:
            return "exhausted"
        return "nearly" if self.share >= NEARLY else "within"

    @property
    def refusal(self) -> str:
        """Why no further training may begin, whether overridden or not; empty while one may."""
        left, needed = self.budget.amount - self.spent, self.last or 0.0
        if left <= 0:
            return f"the budget of {self.budget} is spent: {self.budget.shown(self.spent)} in {self.month}"
        if needed <= left:
            return ""
        return (
            f"the budget of {self.budget} has {self.budget.shown(left)} left in {self.month}, "
            f"and a training takes about {self.budget.shown(needed)}"
        )


def month_of(moment: datetime, timezone: str) -> str:
    """The calendar month there and then: '2026-11'."""
    return moment.astimezone(ZoneInfo(timezone)).strftime("%Y-%m")


def spending(
    budget: Budget,
    month: str,
    timezone: str,
    costs: Iterable[tuple[datetime, TrainingCost]],
    rates: Rates | None,
    overridden: str = "",
) -> Spending:
    """The month's sum of what trainings cost, oldest first; raises ValueError where money has no rates."""
    spent, last = 0.0, None
    for moment, used in costs:
        last = budget.cost(used, rates)
        spent += last if month_of(moment, timezone) == month else 0.0
    return Spending(budget, month, spent, last, overridden)
