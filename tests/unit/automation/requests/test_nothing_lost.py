"""Whatever is asked for, fails, or is killed: each request ends or waits, and nothing runs twice."""

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlcicd_assets.automation.requests.policy import PRIORITY
from tests.fakes.request_worlds import EVERY, World, day

ENDED = {"done", "failed", "refused", "merged"}
MODELS = ["keen", "calm", "slow"]
SCOPES = ["all", "dataset:events", "dataset:places", "model:nobody", *(f"model:{name}" for name in MODELS)]
CAUSES = [cause for cause in PRIORITY if cause != "rollback"]


class Dispatching(RuleBasedStateMachine):
    """Triggers, people, runs and kills in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(retrain={"keen": EVERY, "calm": {}, "slow": {**EVERY, "at_most_every": "6h"}})
        self.asked = 0
        self.added = 0

    @rule(
        scope=st.sampled_from(SCOPES),
        cause=st.sampled_from(CAUSES),
        name=st.integers(0, 5),
        force=st.sampled_from([False, False, False, True]),
    )
    def ask(self, scope: str, cause: str, name: int, force: bool) -> None:
        evidence = {"force": True} if force and cause in {"manual", "hotfix"} else {}
        self.added += self.world.ask(scope, cause, str(name), evidence=evidence)

    @rule(number=st.integers(0, 6), content=st.sampled_from(["f1", "f2"]))
    def land(self, number: int, content: str) -> None:
        self.world.land(day(number), content)

    @rule(
        asset=st.sampled_from(["events/features", "keen/trained_model", "slow/evaluation_report"]),
        text=st.sampled_from("12"),
    )
    def edit(self, asset: str, text: str) -> None:
        self.world.edit(asset, text)

    @rule(hours=st.integers(1, 5))
    def wait(self, hours: int) -> None:
        self.world.now += timedelta(hours=hours)

    @rule(killed=st.booleans())
    def tick(self, killed: bool) -> None:
        self.world.tick(killed=killed)

    @precondition(lambda self: self.world.going())
    @rule(data=st.data(), failure=st.sampled_from(["", "", "check a:b failed"]))
    def end(self, data: st.DataObject, failure: str) -> None:
        self.world.end(data.draw(st.sampled_from(self.world.going())), failure)

    @precondition(lambda self: self.world.going())
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.world.lose(data.draw(st.sampled_from(self.world.going())))

    @invariant()
    def one_run_of_a_scope_at_a_time(self) -> None:
        at_work = [
            owner
            for key in self.world.going()
            for owner in {asset.split("/")[0] for asset in self.world.runs[key].launch.assets}
        ]
        assert len(at_work) == len(set(at_work))
        scopes = [one.request.scope for one in self.world.requests.dispatched()]
        assert len(scopes) == len(set(scopes))

    @invariant()
    def every_run_was_asked_for_by_a_request(self) -> None:
        known = {launch.key for kept in self.world.kept() for launch in kept.launches}
        assert set(self.world.runs) <= known

    @invariant()
    def what_ended_says_how(self) -> None:
        assert all(one.answer for one in self.world.kept() if one.state in ENDED)

    def teardown(self) -> None:
        """Let it go on without new triggers: then everything ends."""
        self.world.now += timedelta(days=1)
        self.world.settle(60)
        kept = self.world.kept()
        assert {one.state for one in kept} <= ENDED
        assert len(kept) >= self.added
        merged = [one for one in kept if one.state == "merged" and one.request.scope != "all"]
        for one in merged:
            into = self.world.requests.kept[int(one.answer.removeprefix("into request "))]
            assert into.request.scope == one.request.scope
            assert into.state in ENDED - {"merged", "refused"}


TestDispatching = Dispatching.TestCase
TestDispatching.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
