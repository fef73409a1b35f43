"""kill -9 of everything that takes part, at every moment of promote and rollback.

The moments are those that the driver itself tells its observer, found by driving each scenario in memory:
what a rollout learns to do is killed here without another line. By default every moment meets one victim, in
turn; `MLCICD_TEST_FULL=1` runs every moment with every victim. Proxy, supervisor, ledger and the worker's
process are the real ones; the model servers are stand-ins, which start in a tenth of the time.
"""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from mlcicd_assets.assets.rollouts.repair import repair
from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from mlcicd_assets.release.history import PROMOTED
from mlcicd_assets.release.rollout import ENDED, ActionName, Phase
from tests.fakes import release_worker
from tests.fakes.catalogues import write_catalogue
from tests.fakes.load import constant_load
from tests.fakes.release_worker import Worker
from tests.fakes.releases import MODEL
from tests.fakes.rollouts import Stage
from tests.fakes.sites import INFER, Site

FULL = bool(os.environ.get("MLCICD_TEST_FULL"))
GROUPS = 4
QUICK: dict[str, Any] = {"bake": "0s", "keep_warm": "0s", "minimum_requests": 1, "weights": [50, 100]}
VICTIMS = ("worker", "worker in the middle", "old server", "new server", "proxy", "supervisor")


@dataclass(frozen=True)
class Scenario:
    """What is driven: a release, or the rollback of one that came as far as `at` undisturbed."""

    declared: Mapping[str, Any]
    at: str | None = None  # a phase; None: the release itself is driven
    ends: Phase = "promoted"


SCENARIOS = {
    "shadow, then canary": Scenario(
        {**QUICK, "strategy": ["shadow", "canary"], "shadow": {"bake": "0s"}},
    ),
    "blue-green": Scenario({**QUICK, "strategy": "blue_green"}),
    "a canary is taken back": Scenario(
        {**QUICK, "strategy": "canary", "bake": "1h"}, "baking", "rolled_back"
    ),
    "rollback while warm": Scenario(
        {**QUICK, "strategy": "blue_green", "keep_warm": "1h"}, "watching", "rolled_back"
    ),
    "rollback to a stopped version": Scenario({**QUICK, "strategy": "blue_green"}, "promoted", "rolled_back"),
}


@dataclass(frozen=True)
class Moment:
    """What the observer is told, the how manyth time, and how the world looks then."""

    scenario: str
    number: int
    name: str
    occurrence: int
    running: frozenset[int]  # 1: the old version, 2: the new one
    share: int  # of the new one, in percent

    @property
    def victims(self) -> list[str]:
        """Who can be killed at it."""
        missing = {
            name for name, version in (("old server", 1), ("new server", 2)) if version not in self.running
        }
        if not self.name.startswith("before "):
            missing.add("worker in the middle")  # nothing is done before the next moment
        return [victim for victim in VICTIMS if victim not in missing]


@dataclass
class _Noted:
    stage: Stage
    scenario: str
    found: list[Moment] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        occurrence = sum(moment.name == name for moment in self.found)
        about = (self.scenario, len(self.found), name, occurrence)
        share = self.stage.routes.get(2, 0)
        self.found.append(Moment(*about, frozenset(self.stage.running), share))


@cache
def moments(name: str) -> tuple[Moment, ...]:
    """Every moment of a scenario, as the driver tells them."""
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as folder:
        lane = write_catalogue(Path(folder) / "defs").models[MODEL]
    stage = Stage(lane, **{**scenario.declared, "slo": {"p99_ratio": None, "psi": None}})
    stage.champion_of(1)
    noted = _Noted(stage, name)
    if scenario.at is None:
        stage.begin(2, rollouts=stage.rollouts(noted))
    else:
        stage.begin(2)
        while stage.state.phase != scenario.at or stage.state.pending:
            _pass(stage, lambda moment: None)
        ask_rollback(stage.rollouts(noted), None, by="ada", reason="complaints")
    while not stage.state.ended:
        _pass(stage, noted)
    assert stage.state.phase == scenario.ends
    return tuple(noted.found)


def _pass(stage: Stage, observer: Callable[[str], None]) -> None:
    stage.traffic()
    stage.tick(10, observer)


def distinct(name: str) -> list[Moment]:
    """Without those after which the next moment comes before anything is done."""
    told = moments(name)
    following = [*(moment.name for moment in told[1:]), ""]
    return [one for one, then in zip(told, following, strict=True) if not then.startswith("before ")]


def cells(*, full: bool) -> list[tuple[Moment, str]]:
    """Who is killed when: everybody at each moment, or one at each, in turn."""
    every = [moment for name in SCENARIOS for moment in distinct(name)]
    if full:
        return [(moment, victim) for moment in every for victim in moment.victims]
    chosen: Counter[str] = Counter()
    found = []
    for moment in every:
        victim = min(moment.victims, key=lambda one: (chosen[one], VICTIMS.index(one)))
        chosen[victim] += 1
        found.append((moment, victim))
    return found


def cases() -> list[Any]:
    return [
        pytest.param(
            moment,
            victim,
            id=f"{moment.scenario}-{moment.number} {moment.name}-{victim}",
            marks=pytest.mark.xdist_group(f"kill_matrix_{place * GROUPS // len(cells(full=FULL))}"),
        )
        for place, (moment, victim) in enumerate(cells(full=FULL))
    ]


# -- nothing is left out ---------------------------------------------------------------------------------


def test_the_matrix_has_every_action_phase_and_victim() -> None:
    told = {moment.name for name in SCENARIOS for moment in distinct(name)}
    assert {name.removeprefix("before ") for name in told if name.startswith("before ")} == set(
        get_args(ActionName)
    )
    every = {moment.name for name in SCENARIOS for moment in moments(name)}
    kept = {name.removeprefix("kept ") for name in every if name.startswith("kept ")}
    assert kept == {*get_args(Phase)} - {"held"}  # a held rollout does nothing that could be cut short
    victims = Counter(victim for _, victim in cells(full=False))
    assert min(victims[victim] for victim in VICTIMS) >= 3
    assert {moment for moment, _ in cells(full=False)} == {moment for moment, _ in cells(full=True)}


# -- the real thing --------------------------------------------------------------------------------------


@dataclass
class Grounds:
    """A site that is used again while it is whole; each cell releases versions of its own."""

    folder: Path
    made: Site | None = None
    built: int = 0

    def site(self) -> Site:
        if self.made is None:
            self.built += 1
            self.made = Site(self.folder / str(self.built), stand_ins=True)
            self.made.begin(1, **QUICK).run(patience_s=60)
        return self.made

    def give_up(self) -> None:
        if self.made is not None:
            self.made.close()
        self.made = None


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    found = Grounds(tmp_path_factory.mktemp("matrix"))
    yield found
    found.give_up()


@pytest.fixture
def site(grounds: Grounds) -> Iterator[Site]:
    found = grounds.site()
    yield found
    if found.servers() != {found.champion: "ready"}:
        grounds.give_up()


def until(done: Callable[[], bool], told: Callable[[], object], patience_s: float = 30.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def newest(site: Site) -> int:
    return max(line.version or 0 for line in site.ledger.entries(MODEL))


def begin(site: Site, scenario: Scenario, new: int) -> Worker:
    if scenario.at is None:
        return release_worker.start(site.folder, "release", new, scenario.declared)
    rollouts = site.begin(new, **scenario.declared)
    state = rollouts.run(patience_s=60, until=lambda now: now.phase == scenario.at and not now.pending)
    assert state.phase == scenario.at, state
    return release_worker.start(site.folder, "rollback", None, scenario.declared)


def reach(worker: Worker, moment: Moment) -> None:
    """Let the worker go to the moment, and wait there."""
    left = moment.occurrence
    while (name := worker.moment()) is not None:
        if name == moment.name and left == 0:
            return
        left -= name == moment.name
        worker.go_on()
    raise AssertionError(f"the worker ended before {moment.name}")


def kill(site: Site, worker: Worker, victim: str, old: int, new: int, moment: Moment) -> None:
    if victim == "worker in the middle":
        worker.go_on()
        # Anywhere in the action; another place in each cell, the same in each run.
        place = random.Random(f"{moment.scenario} {moment.number}")  # noqa: S311 (no secret)
        time.sleep(place.uniform(0.002, 0.2))
    if victim.startswith("worker"):
        worker.kill()
        return
    pid = site.pid({"old server": old, "new server": new}.get(victim, victim))  # type: ignore[arg-type]
    assert pid is not None, f"there is no {victim}"
    os.kill(pid, signal.SIGKILL)
    worker.finish()


def recover(site: Site, scenario: Scenario) -> None:
    """What a boot does (`mlcicd serve start`), where the stack is down; and what the sensor does."""
    if not site.serving.status().running:
        site.serving.start()
        repair(site.rollouts(**scenario.declared))
    site.rollouts(**scenario.declared).run(patience_s=60)


@pytest.mark.parametrize(("moment", "victim"), cases())
def test_a_kill_leaves_one_champion_that_serves(site: Site, moment: Moment, victim: str) -> None:
    scenario = SCENARIOS[moment.scenario]
    old, new = site.champion, newest(site) + 1
    assert old is not None

    with constant_load(site.address, INFER, site.body(), clients=2, per_second=60) as load:
        worker = begin(site, scenario, new)
        reach(worker, moment)
        kill(site, worker, victim, old, new, moment)
        recover(site, scenario)

    state, champion = site.rollouts().state(), site.champion
    assert state is not None
    assert state.phase in ENDED, state
    assert champion == (new if state.phase == "promoted" else old)
    if scenario.ends == "rolled_back" or victim.startswith("worker"):
        assert state.phase == scenario.ends, state.reason
    promoted = sum((one.action, one.version) == (PROMOTED, new) for one in site.ledger.entries(MODEL))
    assert promoted in ({1} if champion == new else {0, 1})
    assert site.ledger.verify() > 5
    assert site.registry.standing()["champion"] == champion
    until(lambda: site.servers() == {champion: "ready"}, lambda: (site.servers(), champion))
    assert (site.routes(), site.mirrors()) == ({champion: 100}, {})
    answers_alone(site, champion)
    if victim.startswith("worker") or (victim == "new server" and moment.share < 100):
        assert load.failures == []


def answers_alone(site: Site, champion: int) -> None:
    with constant_load(site.address, INFER, site.body(), clients=2) as load:
        load.wait(lambda seen: seen.total >= 20)
    assert (set(load.answered), load.failures) == ({str(champion)}, [])
