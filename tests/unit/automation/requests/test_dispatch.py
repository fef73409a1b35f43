"""Which runs requests become: merged, in order, not too often, within the budget, and never twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mlcicd_assets.automation.blueprint import MODEL_STAGES
from mlcicd_assets.automation.requests.carrying_out import carry_out
from mlcicd_assets.automation.requests.dispatch import decide
from mlcicd_assets.automation.requests.policy import PRIORITY
from mlcicd_assets.ml.budget import Budget, Spending
from tests.fakes.request_worlds import EVERY, NOON, World, day

KEEN = " ".join(f"keen/{stage}" for stage in MODEL_STAGES)
EVENTS = "events/raw_data events/validated_data events/features"


@pytest.fixture
def world() -> World:
    """Everything is fresh."""
    made = World()
    made.fresh()
    return made


def test_ten_commits_and_a_data_drop_make_one_run_of_the_data_and_one_of_the_model(world: World):
    world.edit("keen/trained_model", "2")
    world.land(day(3), "f1")
    for number in range(10):
        world.ask("model:keen", "code", f"commit {number}")
    world.ask("dataset:events", "data", "a file")

    world.settle()

    assert world.ran() == [f"{EVENTS} {day(3)}...{day(3)}", KEEN]
    assert world.states() == ["done", *["merged"] * 9, "done", "merged"]  # the last: of the model, for data
    assert world.answers()[0] == "done by 2 runs"
    assert world.answers()[5] == "into request 1"
    assert world.kept()[0].run == f"id-{world.kept()[0].key}"


def test_a_model_that_asks_not_for_data_is_left_alone(world: World):
    world.land(day(3), "f1")
    world.ask("dataset:events", "data")

    world.settle()

    scopes = [one.request.scope for one in world.kept()]
    assert scopes == ["dataset:events", "model:keen"]
    assert not any("calm/" in run for run in world.ran())


def test_data_that_is_looked_up_asks_for_what_is_made_of_it(world: World):
    world.landed["places"][None] = "f2"
    world.ask("dataset:places", "data")

    world.settle()

    assert [one.request.scope for one in world.kept()] == ["dataset:places", "dataset:events", "model:keen"]
    assert set(world.states()) == {"done"}
    # the request for places ran places, and no other request ran it again
    assert sum("places/raw_data" in run for run in world.ran()) == 1
    assert world.ran()[-1] == KEEN


def test_a_thousand_files_at_once_are_a_handful_of_runs_and_requests(world: World):
    world.land(day(3), "f1")
    for number in range(1000):
        world.ask("dataset:events", "data", str(number))

    world.settle(5)

    assert len(world.runs) == 2
    assert len(world.kept()) == 1001
    assert world.states().count("merged") == 999
    assert "pending" not in world.states()


def test_what_comes_during_a_run_is_kept_for_the_next(world: World):
    world.edit("keen/trained_model", "2")
    world.ask(name="first")
    world.tick()
    world.edit("keen/trained_model", "3")
    world.ask(name="second")
    world.tick()
    assert world.states() == ["dispatched", "pending"]
    assert world.answers()[1] == "waits for request 1, which is being answered"

    world.settle()

    # the first run is made of the code as it stands when it begins, so nothing is left for the second
    assert world.ran() == [KEEN]
    assert world.states() == ["done", "done"]


def test_the_more_urgent_cause_leads_and_the_more_urgent_model_comes_first():
    world = World(retrain={"keen": EVERY, "calm": EVERY})
    world.fresh()
    world.edit("keen/trained_model", "2")
    world.edit("calm/trained_model", "2")
    world.ask("model:keen", "schedule")
    world.ask("model:calm", "code")
    world.ask("model:calm", "drift")

    asks = world.tick()

    assert [[lead.id for lead in ask.leads] for ask in asks] == [[3], [1]]
    assert world.states() == ["dispatched", "merged", "dispatched"]
    causes = ["rollback", "hotfix", "manual", "performance", "drift", "code", "data", "schedule"]
    assert sorted(PRIORITY, key=lambda cause: -PRIORITY[cause]) == causes


def test_nothing_stale_is_answered_with_the_reason(world: World):
    world.ask(cause="drift")

    assert world.tick() == []

    assert world.states() == ["done"]
    assert "code and data are those that keen was last made of" in world.answers()[0]


def test_a_person_may_force_a_run_all_the_same(world: World):
    world.ask(cause="manual", evidence={"force": True})

    world.settle()

    assert world.ran() == [KEEN]
    assert world.states() == ["done"]


def test_forced_data_comes_before_the_model(world: World):
    world.land(day(3), "f1")
    world.ask(cause="manual", evidence={"force": True})

    world.settle()

    assert world.ran() == [f"{EVENTS} {day(3)}...{day(3)}", KEEN]


@pytest.mark.parametrize(
    ("scope", "cause", "said"),
    [
        ("model:calm", "drift", "calm declares no 'retrain'"),
        ("model:nobody", "code", "there is no model 'nobody'; declared are: calm, keen"),
        ("dataset:nothing", "data", "there is no dataset 'nothing'; declared are: events, places"),
        ("keen", "manual", "a scope reads like 'model:NAME'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(world: World, scope: str, cause: str, said: str):
    world.ask(scope, cause)

    world.tick()

    assert world.states() == ["refused"]
    assert said in world.answers()[0]


def test_a_cause_that_is_not_declared_is_refused():
    world = World(retrain={"keen": {"code": True}})
    world.ask(cause="drift")

    world.tick()

    assert world.answers() == ["keen does not declare 'retrain.drift'"]


def test_everything_is_asked_of_each(world: World):
    world.edit("events/features", "2")
    world.ask("all", "code")

    world.settle()

    scopes = [one.request.scope for one in world.kept()]
    assert scopes == ["all", "dataset:events", "dataset:places", "model:keen"]
    assert world.states() == ["merged", "done", "done", "done"]


# -- at most every -----------------------------------------------------------------------------------------


@pytest.fixture
def slow() -> World:
    made = World(retrain={"keen": {**EVERY, "at_most_every": "6h", "timezone": "Asia/Kolkata"}})
    made.fresh()
    made.edit("keen/trained_model", "2")
    made.last["keen"] = NOON - timedelta(hours=2)
    return made


def test_what_comes_too_soon_waits_and_says_until_when(slow: World):
    slow.ask()

    assert slow.tick() == []

    assert slow.states() == ["pending"]
    assert slow.answers() == [
        "waits until 2026-01-31 21:30 Asia/Kolkata: at most every 6h, "
        "and the last run began 2026-01-31 15:30 Asia/Kolkata"
    ]
    slow.now += timedelta(hours=4)
    slow.settle()
    assert slow.states() == ["done"]


@pytest.mark.parametrize("cause", ["hotfix", "manual"])
def test_a_person_need_not_wait_and_takes_those_along_that_do(slow: World, cause: str):
    slow.ask(name="commit")
    slow.tick()
    slow.ask(cause=cause, name="person")

    slow.settle()

    assert slow.states() == ["merged", "done"]
    assert len(slow.runs) == 1


# -- budget ------------------------------------------------------------------------------------------------

SPENT = Spending(Budget(20, "cpu-hours"), "2026-01", spent=20.5, last=1.0)


def test_what_is_beyond_the_budget_is_refused_and_says_how_to_go_on(world: World):
    world.spending["keen"] = SPENT
    world.edit("keen/trained_model", "2")
    world.ask()
    world.ask(cause="hotfix")

    assert world.tick() == []

    assert world.states() == ["refused", "refused"]
    assert world.answers()[0] == (
        "the budget of 20 cpu-hours/month is spent: 20.5 cpu-hours in 2026-01; "
        "to let it be exceeded: mlcicd requests override keen --by NAME --reason WHY"
    )


def test_an_override_lets_it_be_exceeded(world: World):
    world.spending["keen"] = replace(SPENT, overridden="asha: the bank asks for it")
    world.edit("keen/trained_model", "2")
    world.ask()

    world.settle()

    assert world.states() == ["done"]


def test_what_trains_nothing_costs_nothing(world: World):
    world.spending["keen"] = SPENT
    world.edit("keen/deployment", "2")
    world.ask()

    world.settle()

    assert world.ran() == ["keen/deployment"]


# -- failures ----------------------------------------------------------------------------------------------


def test_a_failed_run_fails_its_request_and_those_that_shared_it(world: World):
    world.land(day(3), "f1")
    world.ask("dataset:events", "data")
    (ask,) = world.tick()
    assert len(ask.leads) == 2  # the dataset's request, and the model's

    world.end(ask.launch.key, "check events/validated_data:contract failed: 3 rows without an amount")
    world.settle(3)

    assert world.states() == ["failed", "failed"]
    assert set(world.answers()) == {"check events/validated_data:contract failed: 3 rows without an amount"}
    assert len(world.runs) == 1


def test_what_a_failed_check_holds_is_not_run_again(world: World):
    world.make((f"keen/{MODEL_STAGES[1]}", None), failure="roc_auc is 0.6")
    world.ask(cause="schedule")

    assert world.tick() == []

    assert world.states() == ["failed"]
    assert "keen/evaluation_report is held: failed check: roc_auc is 0.6" in world.answers()[0]


def test_a_release_that_waits_for_a_person_ends_its_request(world: World):
    world.edit("keen/deployment", "2")
    world.ask()
    (ask,) = world.tick()
    world.runs[ask.launch.key].state = "done"  # it went well, and materialized nothing
    world.awaits["keen"] = "version 3 waits for a person's approval: mlcicd approve keen 3"

    world.settle(3)
    world.ask(name="a night later", cause="schedule")
    world.settle(3)

    assert len(world.runs) == 1
    assert world.states() == ["done", "done"]
    assert world.answers() == [
        "done by one run; version 3 waits for a person's approval: mlcicd approve keen 3",
        "nothing to do: version 3 waits for a person's approval: mlcicd approve keen 3",
    ]


def test_another_batch_waits_for_the_lane_that_a_run_of_ours_works_on(world: World):
    world.land(day(3), "f1")
    world.ask("dataset:events", "manual")
    (ask,) = world.tick()
    world.land(day(4), "f1")  # which that run does not make
    world.ask("model:keen", "drift")

    assert world.tick() == []

    assert world.states() == ["dispatched", "pending"]
    assert world.answers()[1] == (
        f"waits for events: the run of another request ({ask.launch.key}) works on it"
    )
    world.settle()
    assert world.states() == ["done", "done"]
    assert world.ran()[1:] == [f"{EVENTS} {day(4)}...{day(4)}", KEEN]


def test_data_that_changes_once_more_while_it_is_made_is_no_training(world: World):
    world.land(day(3), "f1")
    world.ask("model:keen", "drift")
    (ask,) = world.tick()
    world.end(ask.launch.key)
    world.land(day(3), "f2")  # corrected a moment later; its own request asks for it

    world.settle(3)

    assert world.states() == ["failed"]
    assert world.answers()[0].startswith("after one run: keen/trained_model was not made: data changed")


def test_work_of_somebody_else_is_waited_for(world: World):
    world.busy["events"] = "1234"
    world.land(day(3), "f1")
    world.ask("dataset:events", "data")

    assert world.tick() == []

    assert world.states() == ["pending", "pending"]
    assert world.answers()[0] == "waits for events: run 1234 works on it"
    world.busy.clear()
    world.settle()
    assert set(world.states()) == {"done"}


# -- kills -------------------------------------------------------------------------------------------------


def test_a_tick_killed_after_it_decided_loses_nothing_and_doubles_nothing(world: World):
    world.edit("keen/trained_model", "2")
    world.ask()
    first = world.tick(killed=True)
    assert world.states() == ["dispatched"]

    again = world.tick()

    assert [ask.launch for ask in again] == [ask.launch for ask in first]
    world.settle()
    assert world.ran() == [KEEN]
    assert world.states() == ["done"]


def test_a_run_that_was_made_but_not_taken_on_is_asked_for_again(world: World):
    world.edit("keen/trained_model", "2")
    world.ask()
    (ask,) = world.tick()
    world.runs[ask.launch.key].state = "created"

    assert [one.launch.key for one in world.tick()] == [ask.launch.key]


def test_two_dispatchers_make_one_run(world: World):
    world.edit("keen/trained_model", "2")
    world.ask()
    mine, theirs = decide(world.situation()), decide(world.situation())

    assert len(carry_out(theirs, world.requests)) == 1
    assert carry_out(mine, world.requests) == []
    assert len(world.kept()[0].launches) == 1


def test_assets_that_are_gone_from_the_code_fail_the_request(world: World):
    world.edit("keen/trained_model", "2")
    world.ask()
    world.tick(killed=True)
    blueprint = replace(world.blueprint, models={"calm": "events"})

    carry_out(decide(replace(world.situation(), blueprint=blueprint)), world.requests)

    assert world.states() == ["failed"]
    assert world.answers() == ["keen/trained_model is not declared any more"]


def test_a_run_whose_process_was_killed_is_run_again(world: World):
    world.edit("keen/trained_model", "2")
    world.ask("model:keen", "code")
    world.tick()
    (killed,) = world.going()

    world.lose(killed)
    world.settle()

    assert world.ran() == [KEEN, KEEN]
    assert world.states() == ["done"]


def test_a_run_that_is_killed_again_and_again_fails_its_request(world: World):
    world.edit("keen/trained_model", "2")
    world.ask("model:keen", "code")

    for _ in range(5):
        world.tick()
        for key in world.going():
            world.lose(key)

    assert len(world.ran()) == 3
    assert world.states() == ["failed"]
    assert "killed 3 times" in world.answers()[0]
