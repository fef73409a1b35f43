"""What the dispatcher decides from, and what it decides: plain values, read and carried out by the sensor."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Literal

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint
from mlcicd_assets.automation.requests.policy import Policy
from mlcicd_assets.automation.requests.scopes import lanes_above
from mlcicd_assets.automation.staleness import Place, Status
from mlcicd_assets.ml.budget import Spending
from resources.protocols import KeptRequest, Launch, RequestChange


@dataclass(frozen=True)
class Seen:
    """A run of Dagster that was made of a launch."""

    run: str
    # created: Dagster has not taken it on yet; lost: its process is gone, and nothing it did was wrong.
    state: Literal["created", "going", "done", "failed", "lost"]
    failure: str = ""  # the step or check that failed, and why


@dataclass(frozen=True)
class Situation:
    """Everything that a decision depends on, at one moment; what takes time is asked for where needed."""

    blueprint: Blueprint
    policies: Mapping[str, Policy]
    pending: Sequence[KeptRequest]
    dispatched: Sequence[KeptRequest]
    runs: Mapping[str, Seen]  # by launch key
    busy: Mapping[str, str]  # dataset or model -> the run that nobody asked for here and that works on it
    assess: Callable[[], Sequence[Status]]
    began: Callable[[str], datetime | None]  # model -> when its last run did
    spent: Callable[[str], Spending | None]  # model -> of its budget
    awaits: Callable[[str], str]  # model -> why its newest release waits for a person; empty: it does not
    now: datetime

    @cached_property
    def statuses(self) -> Sequence[Status]:
        """What is fresh, stale, waiting or held."""
        return self.assess()

    @cached_property
    def by_owner(self) -> dict[str, list[Status]]:
        """The statuses of each dataset and model."""
        found: dict[str, list[Status]] = {}
        for status in self.statuses:
            found.setdefault(status.asset.split("/")[0], []).append(status)
        return found

    @cached_property
    def _stale(self) -> dict[str, list[Status]]:
        return {
            owner: stale
            for owner, statuses in self.by_owner.items()
            if (stale := [status for status in statuses if status.state == "stale"])
        }

    @cached_property
    def _above(self) -> dict[str, list[str]]:
        return {}

    def lanes(self, owner: str) -> list[str]:
        """The owner and what it is made of."""
        if owner not in self._above:
            self._above[owner] = lanes_above(self.blueprint, owner)
        return self._above[owner]

    def stale(self, owners: Collection[str]) -> list[Status]:
        """What is stale of these."""
        return [status for owner in owners for status in self._stale.get(owner, [])]

    def training(self, model: str) -> Status:
        """Of the model's trained_model."""
        return next(one for one in self.by_owner[model] if one.asset == f"{model}/{MODEL_STAGES[0]}")


@dataclass(frozen=True)
class Ask:
    """A run that Dagster is to be asked for; the same again makes no second one."""

    launch: Launch
    leads: tuple[KeptRequest, ...]  # whom it answers, the most urgent first
    merged: int = 0  # how many more


@dataclass
class Decision:
    """What is to be done, in this order: changes first, then those runs whose changes went through."""

    changes: list[RequestChange] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)


def covers(launch: Launch, place: Place) -> bool:
    """Whether a launch makes this asset (partition)."""
    asset, partition = place
    if asset not in launch.assets:
        return False
    if partition is None:
        return True
    return launch.partitions is not None and launch.partitions[0] <= partition <= launch.partitions[1]
