"""A rollout as it is driven: every pass, every refusal, and a kill at every moment."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from mlcicd_assets.assets.rollouts.driver import RolloutRefused
from mlcicd_assets.assets.rollouts.repair import repair
from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from resources.protocols import ResourceError
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL
from tests.fakes.rollouts import Crash, Stage

Make = Callable[..., Stage]
CANARY = {"strategy": "canary", "weights": [10, 50, 100]}


@pytest.fixture(scope="session")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_catalogue(tmp_path_factory.mktemp("declared") / "defs").models[MODEL]


@pytest.fixture
def make(lane: Any) -> Make:
    def made(**rollout: Any) -> Stage:
        stage = Stage(lane, **rollout)
        stage.champion_of(1)
        stage.serving.calls.clear()
        return stage

    return made


def weights(stage: Stage) -> list[str]:
    return [call.split(MODEL)[1].strip() for call in stage.serving.calls if call.startswith("route")]


def test_the_first_release_needs_no_bake(lane: Any) -> None:
    stage = Stage(lane, **CANARY)

    stage.begin(1)
    state = stage.finish()

    assert (state.phase, stage.champion, stage.routes) == ("promoted", 1, {1: 100})


def test_a_healthy_canary_walks_its_weights_and_is_promoted_once(make: Make) -> None:
    stage = make(**CANARY)

    stage.begin(2)
    state = stage.finish()

    assert state.phase == "promoted"
    assert weights(stage)[:3] == ["{1: 90, 2: 10}", "{1: 50, 2: 50}", "{2: 100}"]
    assert (stage.champion, stage.routes, stage.running) == (2, {2: 100}, {2})
    assert stage.actions().count("promoted") == 2  # version 1, then version 2
    assert stage.registry.aliases == {"champion": 2, "previous": 1}


def test_each_step_is_a_line_with_its_numbers(make: Make) -> None:
    stage = make(**CANARY)

    stage.begin(2)
    stage.finish()

    lines = [line for line in stage.ledger.entries(MODEL) if line.version == 2]
    steps = [
        line.details["step"] for line in lines if line.action == "rollout_step" and "step" in line.details
    ]
    assert steps[:2] == ["1 of 2: canary 10 %", "2 of 2: canary 50 %"]
    measured = next(line for line in lines if line.action == "rollout_measured")
    assert measured.details["analysis"]["outcome"] == "passed"
    assert lines[0].action == "rollout_began"
    assert lines[-1].action == "rollout_completed"


def test_a_failing_canary_is_taken_back_and_was_never_champion(make: Make) -> None:
    stage = make(**CANARY)

    stage.begin(2)
    state = stage.finish(bad=2)

    assert state.phase == "rolled_back"
    assert "errors" in state.reason
    assert (stage.champion, stage.routes, stage.running) == (1, {1: 100}, {1})
    assert 2 not in [line.version for line in stage.ledger.entries() if line.action == "promoted"]


def test_ten_failed_requests_are_enough(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.state.pending or stage.state.phase != "baking":
        stage.tick()

    stage.traffic(requests=100, bad=2, share=1.0)  # ten of them are the canary's
    stage.tick()
    stage.tick()

    assert stage.state.phase == "rolled_back"
    assert stage.now.minute == 0 or stage.state.reason


def test_a_shadow_gets_copies_and_no_user_and_comes_before_the_canary(make: Make) -> None:
    stage = make(strategy=["shadow", "canary"], shadow={"percent": 100, "bake": "60s"})

    stage.begin(2)
    while not stage.mirrors:
        stage.tick()
    seen = (stage.mirrors, stage.routes)
    state = stage.finish()

    assert seen == ({2: 100}, {1: 100})
    assert state.phase == "promoted"
    assert stage.mirrors == {}
    assert weights(stage)[0] == "{1: 90, 2: 10}"


def test_a_shadow_whose_answers_fail_ends_before_any_user_sees_it(make: Make) -> None:
    stage = make(strategy="shadow", shadow={"bake": "60s"})

    stage.begin(2)
    state = stage.finish(bad=2)

    assert state.phase == "rolled_back"
    assert stage.mirrors == {}
    assert weights(stage) == []


def test_a_shadow_with_constant_scores_is_taken_back(make: Make) -> None:
    stage = make(strategy="shadow", shadow={"bake": "60s"})

    stage.begin(2)
    state = stage.finish(scores_2={"0.1": 1000})

    assert state.phase == "rolled_back"
    assert "PSI" in state.reason


def test_too_few_requests_hold_and_a_person_ends_it(make: Make) -> None:
    stage = make(**CANARY, hold="120s")

    stage.begin(2)
    state = stage.finish(requests=10)

    assert state.phase == "held"
    assert "requests of 100" in state.reason
    assert stage.routes == {1: 90, 2: 10}
    stage.rollouts().abort(by="ada", reason="not today")
    assert stage.finish().phase == "rolled_back"
    assert stage.routes == {1: 100}


def test_too_few_requests_roll_back_where_that_is_declared(make: Make) -> None:
    stage = make(**CANARY, hold="120s", on_inconclusive="rollback")

    stage.begin(2)

    assert stage.finish(requests=10).phase == "rolled_back"


def test_a_held_canary_that_fails_is_taken_back_all_the_same(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()
    stage.rollouts().pause(by="ada", reason="lunch")

    stage.traffic(bad=2)
    stage.tick(10)
    stage.tick(10)

    assert stage.state.phase == "rolled_back"


def test_a_pause_keeps_the_weights_and_resume_bakes_again(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()
    stage.rollouts().pause(by="ada", reason="lunch")
    for _ in range(30):
        stage.traffic()
        stage.tick(60)
    assert (stage.state.phase, stage.routes) == ("held", {1: 90, 2: 10})

    stage.rollouts().resume(by="ada", reason="back")

    assert stage.finish().phase == "promoted"


def test_failures_within_the_limit_are_borne(make: Make) -> None:
    stage = make(**CANARY, failure_limit=1, interval="20s", slo={"memory_mb": "<= 50"})

    stage.begin(2)
    state = stage.finish()  # the fake's servers use 100 MB

    assert state.phase == "rolled_back"
    failed = [line for line in stage.ledger.entries() if line.details.get("failures")]
    assert [line.details["failures"] for line in failed][:2] == [1, 2]


def test_what_cannot_be_measured_is_counted_apart_and_ends_in_a_rollback(make: Make) -> None:
    stage = make(**CANARY, error_limit=2)
    stage.begin(2)
    while stage.state.baseline is None or stage.state.phase != "baking":
        stage.tick()
    stage.serving.traffic = lambda *_: []  # type: ignore[method-assign]

    for _ in range(8):
        stage.tick(30)

    assert stage.state.phase == "rolled_back"
    assert "could not be measured" in stage.state.reason
    assert stage.state.failures == 0


def test_a_new_champion_that_fails_gives_the_place_back(make: Make) -> None:
    stage = make(strategy="blue_green")
    stage.begin(2)
    while stage.state.phase != "watching":
        stage.tick(1)
    assert (stage.champion, stage.running) == (2, {1, 2})

    stage.traffic(bad=2)
    state = stage.finish()

    assert state.phase == "rolled_back"
    assert (stage.champion, stage.routes, stage.running) == (1, {1: 100}, {1})
    assert stage.registry.aliases["champion"] == 1
    moves = [(line.action, line.version) for line in stage.ledger.entries() if "from_version" in line.details]
    assert moves == [("promoted", 1), ("promoted", 2), ("rolled_back", 1)]


def test_the_old_version_stays_warm_for_thirty_seconds(make: Make) -> None:
    stage = make(strategy="blue_green")
    stage.begin(2)
    while stage.state.phase != "watching":
        stage.tick(1)

    stage.tick(29)
    warm = stage.running
    stage.tick(2)
    stage.tick()

    assert warm == {1, 2}
    assert stage.running == {2}


def test_a_version_that_does_not_start_sees_no_user_and_may_be_tried_again(make: Make) -> None:
    stage = make(**CANARY)
    stage.serving.refusals[f"{2:064x}"] = "out of memory"

    stage.begin(2)
    state = stage.finish()

    assert state.phase == "rolled_back"
    assert "out of memory" in state.reason
    assert weights(stage) == []
    stage.serving.refusals.clear()
    stage.begin(2)
    assert stage.finish().phase == "promoted"


def test_a_version_that_was_rolled_back_needs_a_persons_word(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    stage.finish(bad=2)

    with pytest.raises(RolloutRefused, match=f"mlcicd rollout retry {MODEL}"):
        stage.begin(2)
    assert stage.rollouts().retry(by="ada", reason="the fault was the network's") == 2
    stage.begin(2)

    assert stage.finish().phase == "promoted"


def test_a_second_release_is_refused_with_the_state_of_the_first(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    stage.tick()

    with pytest.raises(RolloutRefused, match="the rollout of version 2 is baking, step 1 of 3"):
        stage.begin(3)
    assert stage.begin(2).target.version == 2  # the same one is joined


def test_a_release_during_a_rollback_is_refused(make: Make) -> None:
    stage = make(**CANARY)
    stage.champion_of(2)
    ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")

    with pytest.raises(RolloutRefused, match="the rollback from version 2 to 1 is rolling back"):
        stage.begin(3)


def test_a_rejection_during_the_bake_keeps_it_from_being_promoted(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 50, 2: 50}:
        stage.traffic()
        stage.tick(10)

    stage.rejected.add(2)
    state = stage.finish()

    assert state.phase == "rolled_back"
    assert "rejected" in state.reason
    assert stage.champion == 1


# -- rollback by a person -------------------------------------------------------------------------------


def test_a_rollback_goes_to_the_version_before_and_says_who_and_why(make: Make) -> None:
    stage = make()
    stage.champion_of(2)

    ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")
    state = stage.finish()

    assert (state.phase, stage.champion, stage.routes, stage.running) == ("rolled_back", 1, {1: 100}, {1})
    line = next(line for line in stage.ledger.entries() if line.action == "rolled_back")
    assert (line.actor, line.reason, line.version) == ("ada", "complaints", 1)
    assert (line.details["from_version"], line.details["to"]) == (2, f"{1:064x}")
    assert stage.registry.aliases == {"champion": 1}


def test_a_rollback_asked_twice_is_done_once(make: Make) -> None:
    stage = make()
    stage.champion_of(2)
    stage.champion_of(3)
    for _ in range(3):
        ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")
        stage.finish()

    assert stage.champion == 2
    ask_rollback(stage.rollouts(), 1, by="ada", reason="further")
    stage.finish()
    assert stage.champion == 1


def test_a_rollback_of_a_running_canary_takes_it_out(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()

    ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")
    stage.finish()

    assert (stage.champion, stage.routes) == (1, {1: 100})


def test_a_rollback_to_what_no_longer_verifies_is_refused(make: Make) -> None:
    stage = make()
    stage.champion_of(2)
    stage.rejected.add(1)

    with pytest.raises(Exception, match="rejected"):
        ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")
    assert stage.champion == 2


def test_a_rollback_to_what_never_served_is_refused(make: Make) -> None:
    stage = make()
    stage.champion_of(2)

    with pytest.raises(RolloutRefused, match="never was champion"):
        ask_rollback(stage.rollouts(), 7, by="ada", reason="complaints")


def test_a_rollback_whose_version_does_not_start_leaves_the_champion_and_waits(make: Make) -> None:
    stage = make()
    stage.champion_of(2)
    ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")
    stage.serving.refusals[f"{1:064x}"] = "no memory"

    state = stage.finish()

    assert (state.phase, stage.champion, stage.routes) == ("held", 2, {2: 100})
    stage.serving.refusals.clear()
    stage.rollouts().resume(by="ada", reason="there is memory now")
    assert (stage.finish().phase, stage.champion) == ("rolled_back", 1)


# -- kills and clocks -----------------------------------------------------------------------------------


def canary_is_promoted(stage: Stage) -> None:
    stage.begin(2)


def canary_fails(stage: Stage) -> None:
    stage.begin(2)


def champion_is_rolled_back(stage: Stage) -> None:
    stage.champion_of(2)
    ask_rollback(stage.rollouts(), None, by="ada", reason="complaints")


SCENARIOS: dict[str, tuple[Callable[[Stage], None], dict[str, Any], dict[str, Any]]] = {
    "canary promoted": (canary_is_promoted, CANARY, {}),
    "shadow, then canary": (canary_is_promoted, {"strategy": ["shadow", "canary"]}, {}),
    "blue-green": (canary_is_promoted, {"strategy": "blue_green"}, {}),
    "canary fails": (canary_fails, CANARY, {"bad": 2}),
    "new champion fails": (canary_fails, {"strategy": "blue_green"}, {"bad": 2}),
    "rollback by hand": (champion_is_rolled_back, CANARY, {}),
}


def end_of(stage: Stage) -> tuple[Any, ...]:
    mirrored = stage.mirrors
    return stage.state.phase, stage.champion, stage.routes, mirrored, stage.running, stage.registry.aliases


def drive(stage: Stage, observer: Callable[[str], None], traffic: dict[str, Any]) -> None:
    for _ in range(400):
        if stage.state.ended:
            return
        stage.traffic(**traffic)
        stage.tick(10, observer)
    raise AssertionError(f"it does not end: {stage.state}")


def killing(fatal: int) -> Any:
    """Dies at the moment of this number, counted from 0."""
    seen = count()

    def kill(moment: str) -> None:
        if next(seen) == fatal:
            raise Crash(moment)

    return kill


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_at_any_moment_comes_to_the_same_end(make: Make, name: str) -> None:
    begin, rollout, traffic = SCENARIOS[name]
    moments: list[str] = []
    undisturbed = make(**rollout, shadow={"bake": "60s"})
    begin(undisturbed)
    drive(undisturbed, moments.append, traffic)
    assert len(moments) >= 8

    for fatal in range(len(moments)):
        stage = make(**rollout, shadow={"bake": "60s"})
        begin(stage)
        with pytest.raises(Crash):
            drive(stage, killing(fatal), traffic)
        assert stage.champion in (1, 2)
        drive(stage, lambda moment: None, traffic)
        assert end_of(stage) == end_of(undisturbed), moments[fatal]
        stage.ledger.verify()


@pytest.mark.parametrize("name", SCENARIOS)
def test_repair_after_a_kill_gives_the_traffic_back_as_it_should_be(make: Make, name: str) -> None:
    begin, rollout, traffic = SCENARIOS[name]
    moments: list[str] = []
    undisturbed = make(**rollout, shadow={"bake": "60s"})
    begin(undisturbed)
    drive(undisturbed, moments.append, traffic)

    for fatal in range(len(moments)):
        stage = make(**rollout, shadow={"bake": "60s"})
        begin(stage)
        with pytest.raises(Crash):
            drive(stage, killing(fatal), traffic)
        # the machine is rebooted: routes and servers are gone
        stage.serving.shares.clear()
        stage.serving.copies.clear()
        stage.serving.servers.clear()
        repair(stage.rollouts())
        assert stage.champion is not None
        assert stage.routes.get(stage.champion, 0) >= 50, moments[fatal]
        assert repair(stage.rollouts()) == []
        drive(stage, lambda moment: None, traffic)
        assert end_of(stage) == end_of(undisturbed), moments[fatal]


def test_repair_restores_the_weights_of_a_running_canary(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()
    stage.serving.shares.clear()

    told = repair(stage.rollouts())

    assert stage.routes == {1: 90, 2: 10}
    assert told == [f"{MODEL}: production follows the rollout again, version 1 90 %, version 2 10 %"]


def test_repair_takes_a_canary_out_that_cannot_be_proven_any_more(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()
    stage.serving.servers.pop(("production", MODEL, 2))
    stage.rejected.add(2)

    repair(stage.rollouts())

    assert (stage.state.phase, stage.routes, stage.champion) == ("rolled_back", {1: 100}, 1)


def test_a_route_moved_by_hand_is_put_back_by_the_next_pass(make: Make) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()

    stage.serving.route("production", MODEL, {2: 100})
    stage.tick(1)

    assert stage.routes == {1: 90, 2: 10}


def test_a_slow_worker_cannot_promote_what_was_aborted_meanwhile(make: Make) -> None:
    stage = make(strategy="blue_green")
    stage.begin(2)

    def abort(moment: str) -> None:
        if moment == "before promote":
            stage.rollouts().abort(by="ada", reason="stop")

    for _ in range(3):
        stage.tick(1, abort if stage.state.phase == "promoting" else lambda moment: None)
        if stage.state.phase == "rolling_back":
            break
    stage.finish()

    assert (stage.champion, stage.routes) == (1, {1: 100})


def test_an_action_that_fails_for_a_while_is_tried_again_then_given_up(make: Make) -> None:
    stage = make(**CANARY, error_limit=2)
    stage.begin(2)
    stage.tick()

    def broken(*_: Any, **__: Any) -> None:
        raise ResourceError("Envoy does not answer")

    route = stage.serving.route
    stage.serving.route = broken  # type: ignore[method-assign]
    for _ in range(3):
        stage.tick(1)
    assert stage.state.phase == "rolling_back"
    stage.serving.route = route  # type: ignore[method-assign]

    assert stage.finish().phase == "rolled_back"


@pytest.mark.parametrize("jump", [-86_400, -60, 60, 86_400])
def test_a_clock_that_jumps_does_no_harm(make: Make, jump: int) -> None:
    stage = make(**CANARY)
    stage.begin(2)
    while stage.routes != {1: 90, 2: 10}:
        stage.tick()
    stage.traffic(requests=50)

    stage.tick(jump)
    walked = stage.routes

    assert walked == {1: 90, 2: 10}  # time alone promotes nothing: five requests are no evidence
    assert stage.finish().phase in {"promoted", "held"}


def test_whoever_launches_compares_the_answers_before_any_user_gets_one(make: Make) -> None:
    stage = make(**CANARY)
    stage.compared.clear()

    # a worker is killed once the server runs: the next one compares all the same
    stage.begin(2)
    with pytest.raises(Crash):
        stage.tick(observer=_killed_at("after launch"))
    stage.compared.clear()
    stage.tick()

    assert stage.compared == [2]
    assert stage.state.phase == "baking"


def test_a_version_that_answers_otherwise_than_its_package_gets_no_traffic(make: Make) -> None:
    stage = make(**CANARY)
    stage.differing.add(2)

    stage.begin(2)
    state = stage.finish()

    assert state.phase == "rolled_back"
    assert "answered 0.2 away" in state.reason
    assert weights(stage) == []


def _killed_at(moment: str) -> Callable[[str], None]:
    def observer(now: str) -> None:
        if now == moment:
            raise Crash

    return observer
