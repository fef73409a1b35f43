"""The state machine against whatever may happen: traffic, people, crashes, clocks, refusals."""

from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from mlcicd_assets.assets.rollouts.repair import repair
from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from mlcicd_assets.ml.declarations import Rollout
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import Plan, State, Step, advance, start, wanted
from mlcicd_assets.release.rollout_history import parse, text_of, timeline
from mlcicd_assets.release.run_files import champion_pointer
from resources.protocols import LaunchRefused, ResourceError
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL
from tests.fakes.rollouts import NOON, Crash, Stage, digest, target

STRATEGIES: list[dict[str, Any]] = [
    {"strategy": "blue_green"},
    {"strategy": "canary", "weights": [10, 50, 100]},
    {"strategy": "canary", "weights": [1, 99, 100], "on_inconclusive": "rollback", "hold": "30s"},
    {"strategy": "shadow", "shadow": {"percent": 50, "bake": "30s"}},
    {"strategy": ["shadow", "canary"], "failure_limit": 2, "shadow": {"bake": "30s"}},
]
VERSIONS = st.integers(1, 5)


@cache
def declared() -> Any:
    return write_catalogue(Path(mkdtemp(prefix="mlcicd-test-")) / "defs").models[MODEL]


class Releases(RuleBasedStateMachine):
    """Everything that people, machines and time may do, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stage: Stage = Stage(declared())

    @initialize(strategy=st.sampled_from(STRATEGIES))
    def begin(self, strategy: dict[str, Any]) -> None:
        self.stage = Stage(declared(), **strategy)

    def worker(self, fatal: int) -> Any:
        """One that is killed at its `fatal`-th moment, or never."""
        left = iter([*[False] * fatal, True])

        def observer(moment: str) -> None:
            if next(left, False):
                raise Crash(moment)

        return self.stage.rollouts(observer)

    @rule(version=VERSIONS, fatal=st.integers(0, 30))
    def release(self, version: int, fatal: int) -> None:
        assume(version != self.stage.champion and version not in self.stage.rejected)
        with suppress(Refused, Crash):
            self.stage.begin(version, rollouts=self.worker(fatal))

    @rule(
        seconds=st.one_of(st.integers(0, 40), st.sampled_from([-86_400, -100, 3_600, 86_400])),
        requests=st.sampled_from([0, 10, 1000]),
        bad=st.one_of(st.none(), VERSIONS),
        fatal=st.integers(0, 12),
    )
    def time_passes(self, seconds: int, requests: int, bad: int | None, fatal: int) -> None:
        self.stage.traffic(requests=requests, bad=bad)
        self.stage.now += timedelta(seconds=seconds)
        with suppress(ResourceError, Refused, Crash):
            self.worker(fatal).advance()

    @rule(what=st.sampled_from(["pause", "resume", "abort", "retry"]), fatal=st.integers(0, 2))
    def somebody_steers(self, what: str, fatal: int) -> None:
        with suppress(Refused, Crash):
            getattr(self.worker(fatal), what)(by="ada", reason="because")

    @rule(to=st.one_of(st.none(), VERSIONS), fatal=st.integers(0, 2))
    def somebody_rolls_back(self, to: int | None, fatal: int) -> None:
        with suppress(Refused, ResourceError, Crash):
            ask_rollback(self.worker(fatal), to, by="ada", reason="because")

    @rule(version=VERSIONS)
    def somebody_rejects(self, version: int) -> None:
        assume(version != self.stage.champion)
        self.stage.rejected.add(version)

    @rule(version=VERSIONS)
    def somebody_approves(self, version: int) -> None:
        self.stage.rejected.discard(version)

    @precondition(lambda self: self.stage.champion is not None)
    @rule()
    def the_machine_is_rebooted(self) -> None:
        self.stage.serving.shares.clear()
        self.stage.serving.copies.clear()
        self.stage.serving.servers.clear()
        with suppress(Refused, LaunchRefused, ResourceError):
            repair(self.stage.rollouts())

    @invariant()
    def there_is_one_champion_and_it_was_promoted_with_proof(self) -> None:
        name = champion_pointer(MODEL)
        moves = [
            line for line in self.stage.ledger.lines if line.details.get("pointer", {}).get("name") == name
        ]
        champion = None
        for line in moves:
            move = line.details["pointer"]
            assert move["from"] == champion
            assert move["to"] is not None
            champion = move["to"]
            assert int(champion) in self.stage.proven
            assert line.digest == digest(int(champion))
        assert self.stage.ledger.pointer(name) == champion

    @invariant()
    def the_shares_are_a_whole_and_nobody_but_the_champion_has_all(self) -> None:
        routes = self.stage.routes
        assert not routes or sum(routes.values()) == 100
        state = parse(self.stage.ledger.pointer(f"rollout/{MODEL}"))
        if state is not None and not state.pending and routes and state.phase != "held":
            aims = wanted(state, self.stage.champion)
            if aims is not None and len(routes) == 1:
                assert set(routes) <= {self.stage.champion, state.target.version}

    @invariant()
    def a_rejected_version_is_not_promoted_while_it_is_rejected(self) -> None:
        # whoever is rejected while champion goes on serving; nobody becomes champion by it
        if self.stage.champion in self.stage.rejected:
            raise AssertionError(f"version {self.stage.champion} is champion and rejected")

    def teardown(self) -> None:
        """Left alone, healthy and approved, every history ends."""
        self.stage.rejected.clear()
        state = parse(self.stage.ledger.pointer(f"rollout/{MODEL}"))
        if state is None:
            return
        for _ in range(400):
            self.stage.traffic()
            self.stage.now += timedelta(seconds=10)
            with suppress(ResourceError, Refused):
                state = self.stage.rollouts().advance() or state
            if state.ended or state.phase == "held":
                break
        assert state.phase in {"promoted", "rolled_back", "held"}
        self.stage.ledger.verify()
        if self.stage.champion is not None:
            repair(self.stage.rollouts())
            aims = wanted(self.stage.rollouts().state(), self.stage.champion)
            assert aims is not None
            assert self.stage.routes == dict(aims.weights)
        if state.ended and self.stage.champion is not None:
            assert self.stage.champion in self.stage.running


TestReleases = pytest.mark.timeout(120)(Releases.TestCase)
TestReleases.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_state_is_read_as_it_was_written() -> None:
    plan = Plan(steps=(Step(kind="shadow", percent=100, bake_s=5), Step(kind="canary", percent=10, bake_s=5)))
    state = start(id="1", model="m", plan=plan, target=target(2), stable=target(1), actor="a", now=NOON)

    assert parse(text_of(state)) == state
    assert parse(None) is None


def test_a_state_of_another_format_is_refused_not_guessed() -> None:
    with pytest.raises(Refused, match="another format"):
        parse('{"format": 2}')


def test_a_canary_step_never_has_all_of_the_traffic() -> None:
    with pytest.raises(ValidationError, match="all of it is the promotion"):
        Step(kind="canary", percent=100, bake_s=1)


def test_an_ended_rollout_stays_as_it_is() -> None:
    from mlcicd_assets.release.rollout import Observation

    state = start(id="1", model="m", plan=Plan(), target=target(1), stable=None, actor="a", now=NOON)
    ended = state.model_copy(update={"phase": "promoted", "pending": ()})

    assert advance(ended, Observation(readings={}), NOON) is ended


def test_the_timeline_tells_the_last_rollout_alone() -> None:
    stage = Stage(declared())
    stage.champion_of(1)
    stage.champion_of(2)

    moments = timeline(stage.ledger.entries(MODEL), MODEL)

    assert {moment.state.target.version for moment in moments} == {2}
    assert [moment.state.phase for moment in moments][-1] == "promoted"
    assert isinstance(moments[0].state, State)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"weights": [50, 10, 100]}, "weights ascend"),
        ({"weights": [10, 50]}, "weights end at 100"),
        ({"weights": [0, 100]}, "from 1 to 100"),
        ({"strategy": ["canary", "shadow"]}, "a shadow comes before the canary"),
        ({"strategy": ["blue_green", "canary"]}, "blue_green stands alone"),
        ({"strategy": ["canary", "canary"]}, "each kind once"),
        ({"slo": {"error_rate": ">= 0.5"}}, "a limit reads like '<= 0.001'"),
        ({"slo": {"errors": "<= 0.5"}}, "Extra inputs are not permitted"),
        ({"bake": "soon"}, "a duration reads like"),
        ({"sticky_header": "X User"}, "should match pattern"),
    ],
)
def test_what_is_declared_wrongly_is_said_plainly(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Rollout.model_validate(wrong)
