"""Which requests a model answers, how soon, and at what cost: `retrain`, as the dispatcher needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.ml.budget import Budget
from mlcicd_assets.ml.retrain import Retrain
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.ml.training.cost import Rates
from resources.protocols import Cause, KeptRequest

# What is asked for first, first; Dagster's run queue knows it by the tag `dagster/priority`.
PRIORITY: Mapping[Cause, int] = {
    "rollback": 100,
    "hotfix": 90,
    "manual": 50,
    "performance": 40,
    "drift": 30,
    "code": 20,
    "data": 10,
    "schedule": 0,
}
# A person waits: `at_most_every` does not hold them up, nor do they need `retrain`.
URGENT: frozenset[Cause] = frozenset({"rollback", "hotfix", "manual"})


@dataclass(frozen=True)
class Policy:
    """One model's `retrain`; without one, only people ask for runs."""

    model: str
    owner: str = ""
    retrain: Retrain | None = None
    rates: Rates | None = None

    @classmethod
    def of(cls, model: str, declared: Mapping[str, Any]) -> "Policy":
        """From what a blueprint holds of it."""
        retrain, rates = declared.get("retrain"), declared.get("rates")
        return cls(
            model,
            declared.get("owner", ""),
            Retrain.model_validate(retrain) if retrain else None,
            Rates.model_validate(rates) if rates else None,
        )

    def objection(self, cause: Cause) -> str:
        """Why no run of the model answers this cause; empty when one does."""
        if cause in URGENT:
            return ""
        if self.retrain is None:
            return f"{self.model} declares no 'retrain': only a person asks for its runs"
        answered = {
            "schedule": self.retrain.schedule is not None,
            "code": self.retrain.code,
            "data": self.retrain.data,
            "drift": self.retrain.drift,
            "performance": self.retrain.performance,
        }
        return "" if answered[cause] else f"{self.model} does not declare 'retrain.{cause}'"

    @property
    def at_most_every(self) -> timedelta | None:
        """The shortest time between the beginnings of two runs."""
        declared = self.retrain.at_most_every if self.retrain else None
        return parse_duration(declared) if declared else None

    @property
    def budget(self) -> Budget | None:
        """What its trainings may cost in a month."""
        return Budget.parse(self.retrain.budget) if self.retrain and self.retrain.budget else None

    @property
    def timezone(self) -> str:
        """Where its months and its schedule are."""
        return self.retrain.timezone if self.retrain else "UTC"


def policies(blueprint: Blueprint) -> dict[str, Policy]:
    """Every declared model's."""
    return {model: Policy.of(model, blueprint.retrain.get(model, {})) for model in blueprint.models}


def forced(kept: KeptRequest) -> bool:
    """Whether a person wants the model's lane to run although nothing is stale."""
    return bool(kept.request.evidence.get("force"))


def by_priority(requests: Sequence[KeptRequest]) -> list[KeptRequest]:
    """Forced ones first, then by cause, then the oldest."""
    return sorted(requests, key=lambda one: (not forced(one), -PRIORITY[one.request.cause], one.id))
