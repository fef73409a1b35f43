"""What follows from episodes: one request, one alert, and a person where a training does not help."""

from typing import Any

import pytest

from mlcicd_assets.assets.monitoring.consequences import Consequences, follow
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.monitoring.declaration import Monitor
from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import ERRORS, FEATURE_DRIFT, PERFORMANCE, Signal, State
from mlcicd_assets.ml.retrain import Retrain
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL
from tests.fakes.requests import MemoryRequests

_STATES: dict[str, State] = {"o": "ok", "v": "violated", "?": "not enough evidence"}
PERFORMANCE_CAUSE = f"monitoring/{MODEL}/performance"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> ModelLane:
    lane = write_catalogue(tmp_path_factory.mktemp("declared") / "defs").models[MODEL]
    monitor = Monitor.model_validate({"violations": {"needed": 2, "of": 3}, "silence": 3})
    model = lane.model.model_copy(
        update={"monitor": monitor, "retrain": Retrain(performance=True, drift=False)}
    )
    return ModelLane(model, lane.folder, lane.data)


class World:
    """A model's requests and alerts, and what was seen."""

    def __init__(self, lane: ModelLane) -> None:
        self.lane = lane
        self.requests, self.alerts = MemoryRequests(), MemoryAlerts()
        self.episodes: list[Episode] = []
        self.history: list[Signal] = []

    def see(self, letters: str, version: int = 1, name: str = PERFORMANCE) -> Consequences:
        """So many further days, and one look at the end."""
        first = len({one.window for one in self.history})
        self.history += [
            Signal(f"2026-01-{first + n + 1:02d}T00:00", version, name, _STATES[letter], reason=f"day {n}")
            for n, letter in enumerate(letters)
        ]
        return self.look(version)

    def look(self, champion: int = 1) -> Consequences:
        done = follow(self.lane, self.episodes, self.history, champion, self.requests, self.alerts)
        self.episodes = done.episodes
        return done

    def end(self, state: Any, answer: str = "") -> None:
        (pending,) = self.requests.pending()
        self.requests.change([pending.id], expected="pending", new="dispatched")
        self.requests.change([pending.id], expected="dispatched", new=state, answer=answer)

    @property
    def standing(self) -> dict[str, str]:
        return {one.alert.cause: one.alert.title for one in self.alerts.standing()}


@pytest.fixture
def world(declared: ModelLane) -> World:
    return World(declared)


def test_an_episode_asks_once_and_tells_once(world: World) -> None:
    first = world.see("vv")
    world.look()
    world.see("v")

    (request,) = world.requests.pending()
    assert first.requested
    assert request.request.by == "monitoring"
    assert request.request.evidence["violated"] == ["2026-01-01T00:00", "2026-01-02T00:00"]
    assert list(world.standing) == [PERFORMANCE_CAUSE]


def test_a_kill_between_the_episode_and_its_request_loses_neither(world: World) -> None:
    world.see("vv")
    world.requests, world.alerts = MemoryRequests(), MemoryAlerts()  # as if nothing had been written

    world.look()

    assert len(world.requests.pending()) == 1
    assert PERFORMANCE_CAUSE in world.standing


def test_when_it_recovers_the_alert_is_resolved_and_the_next_one_asks_anew(world: World) -> None:
    world.see("vv")
    done = world.see("oo")
    assert done.resolved == [PERFORMANCE_CAUSE]
    assert world.standing == {}

    world.see("vv")
    assert len(world.requests.pending()) == 2


def test_drift_asks_for_nothing_where_the_declaration_does_not_want_it(world: World) -> None:
    world.see("vv", name=FEATURE_DRIFT)

    assert world.requests.pending() == []
    assert f"monitoring/{MODEL}/drift" in world.standing


def test_errors_of_users_are_told_and_never_a_reason_to_train(world: World) -> None:
    world.see("vv", name=ERRORS)

    assert world.requests.pending() == []
    assert f"monitoring/{MODEL}/traffic" in world.standing


@pytest.mark.parametrize("state", ["failed", "refused"])
def test_a_training_that_was_blocked_needs_a_person(world: World, state: str) -> None:
    world.see("vv")
    world.end(state, "gate average_precision failed")

    world.look()

    said = world.standing[f"{PERFORMANCE_CAUSE}/unhelped"]
    assert "a person is needed" in said
    assert "gate average_precision failed" in said


def test_a_new_champion_that_never_was_well_needs_a_person_and_no_further_training(world: World) -> None:
    world.see("vv")
    world.end("done")
    world.see("vv", version=2)

    assert "never well" in world.standing[f"{PERFORMANCE_CAUSE}/unhelped"]
    assert world.requests.pending() == []


def test_a_new_champion_ends_the_episode_of_the_old_one(world: World) -> None:
    world.see("vv")
    world.end("done")
    world.see("oo", version=2)

    assert world.standing == {}
    assert [one.ending for one in world.episodes] == ["replaced"]


def test_a_signal_that_nobody_knows_for_too_long_is_told(world: World) -> None:
    world.see("o??")
    assert world.standing == {}

    world.see("?")
    assert f"monitoring/{MODEL}/performance/silent" in world.standing

    world.see("o")
    assert world.standing == {}
