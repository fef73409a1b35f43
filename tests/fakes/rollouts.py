"""A model whose rollouts are driven by hand: a clock, traffic and proofs that a test decides on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlcicd_assets.assets.rollouts.actions import World
from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import State, Target
from mlcicd_assets.release.run_files import champion_pointer
from resources.protocols import ModelVersion, Release
from tests.fakes.ledger import MemoryLedger
from tests.fakes.memory import MemoryLake
from tests.fakes.predictions import MemoryPredictions
from tests.fakes.serving import FakeServing

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Crash(BaseException):
    """The worker is killed: nothing catches this."""


class Versions:
    """A registry whose versions exist because somebody asks for them, except those that are `gone`."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.gone: set[int] = set()
        self.aliases: dict[str, int] = {}

    def get(self, model: str, which: int | str) -> ModelVersion | None:
        number = int(which)
        if number in self.gone:
            return None
        return ModelVersion(model, number, digest(number), f"run-{number}")

    def versions(self, model: str) -> list[ModelVersion]:
        named = {number: [a for a, at in self.aliases.items() if at == number] for number in range(1, 10)}
        return [
            ModelVersion(model, number, digest(number), f"run-{number}", aliases=tuple(sorted(found)))
            for number, found in named.items()
        ]

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        if version is None:
            self.aliases.pop(alias, None)
        else:
            self.aliases[alias] = version

    def tag(self, model: str, version: int, tags: dict[str, str]) -> None:
        """Tags are nobody's business here."""


class Stage:
    """One model, its ledger and its servers; `rejected` versions are refused by their proofs."""

    def __init__(self, lane: ModelLane, **rollout: Any) -> None:
        declared = lane.model.rollout.model_validate({"keep_warm": "30s", "bake": "60s", **rollout})
        self.lane = replace(lane, model=lane.model.model_copy(update={"rollout": declared}))
        self.model = lane.model.name
        self.now = NOON
        self.ledger = MemoryLedger()
        self.serving = FakeServing()
        self.registry = Versions(self.model)
        self.predictions = MemoryPredictions()
        self.lake = MemoryLake()
        self.rejected: set[int] = set()
        self.proven: list[int] = []
        self.compared: list[int] = []  # whose answers were compared with the package's own
        self.differing: set[int] = set()

    def rollouts(self, observer: Callable[[str], None] = lambda moment: None) -> Rollouts:
        """A new worker."""
        world: Any = World(
            self.ledger, self.registry, None, _Keys(), self.serving, self.predictions, self.lake
        )
        seams: Any = {"observer": observer, "proven": self._prove, "compared": self._compare}
        return Rollouts(self.lane, world, clock=lambda: self.now, **seams)

    def _compare(self, lane: Any, world: Any, release: Release, address: str) -> None:
        self.compared.append(release.version)
        if release.version in self.differing:
            raise Refused(f"version {release.version} answered 0.2 away from the evaluated package")

    def _prove(self, lane: Any, world: Any, target: Target, at: str, scratch: Path) -> Release:
        if target.version in self.rejected:
            raise Refused(f"version {target.version} is refused: rejected")
        self.proven.append(target.version)
        nowhere = Path("nowhere")
        return Release(self.model, target.version, target.digest, nowhere, nowhere, "production")

    # -- shortcuts ------------------------------------------------------------------------------------

    @property
    def champion(self) -> int | None:
        value = self.ledger.pointer(champion_pointer(self.model))
        return None if value is None else int(value)

    @property
    def routes(self) -> dict[int, int]:
        return dict(self.serving.routes("production", self.model))

    @property
    def mirrors(self) -> dict[int, int]:
        return dict(self.serving.mirrors("production", self.model))

    @property
    def running(self) -> set[int]:
        return {server.version for server in self.serving.status().servers}

    @property
    def state(self) -> State:
        state = self.rollouts().state()
        assert state is not None
        return state

    def actions(self) -> list[str]:
        return [line.action for line in self.ledger.entries(self.model)]

    def begin(self, version: int, actor: str = "run 1", rollouts: Rollouts | None = None) -> State:
        stable = None if self.champion is None else target(self.champion)
        return (rollouts or self.rollouts()).begin(target(version), stable, actor)

    def champion_of(self, version: int) -> None:
        """Release a version to the end, without looking."""
        self.begin(version)
        self.finish()

    def finish(self, passes: int = 200, **traffic: Any) -> State:
        """Pass after pass, each ten seconds later, until it ends or is held."""
        for _ in range(passes):
            state = self.state
            if state.ended or (state.phase == "held" and not state.pending):
                return state
            self.traffic(**traffic)
            self.tick(10)
        raise AssertionError(f"it does not end: {self.state.phase}, {self.state.pending}")

    def tick(self, seconds: float = 0, observer: Callable[[str], None] = lambda moment: None) -> State | None:
        self.now += timedelta(seconds=seconds)
        return self.rollouts(observer).advance()

    def traffic(self, requests: int = 1000, bad: int | None = None, share: float = 0.5, **more: Any) -> None:
        """A thousand healthy requests spread as routed; `share` of those to version `bad` fail."""
        split = self.routes
        for version, percent in split.items():
            self._count(version, requests * percent // 100, share if version == bad else 0.0, more)
        for version, percent in self.mirrors.items():
            count = requests * percent // 100
            self._count(version, count, share if version == bad else 0.0, more, mirrored=True)

    def _count(
        self, version: int, count: int, share: float, more: dict[str, Any], *, mirrored: bool = False
    ) -> None:
        failed = int(count * share)
        names = ("mirrored", "mirrored_errors") if mirrored else ("requests", "failed_attempts")
        numbers = dict(zip(names, (count, failed), strict=True))
        self.serving.count(
            "production",
            self.model,
            version,
            latencies_ms={2.0: count},
            scores=more.get(f"scores_{version}", {"0.1": count // 2, "0.9": count - count // 2}),
            **numbers,
        )


class _Keys:
    def trusted_keys(self) -> tuple[bytes, ...]:
        return ()


def digest(version: int) -> str:
    """Each version's own."""
    return f"{version:064x}"


def target(version: int) -> Target:
    """A version as a rollout names it."""
    return Target(version=version, digest=digest(version), run=f"run-{version}")
