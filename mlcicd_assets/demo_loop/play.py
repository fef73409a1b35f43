"""The play, act by act. Whatever an act promises is looked for in what is really there, or the play fails."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mlcicd_assets.demo_loop.escalation import alerts_of_gates, escalated, look, settle
from mlcicd_assets.demo_loop.living import DRIFT_DAY, Living
from mlcicd_assets.demo_loop.payments_sent import Week, drawn, poisoned, publish
from mlcicd_assets.demo_loop.stage import MODEL, PATIENCE_S, NotHappened, Stage
from mlcicd_assets.demo_loop.story import Story
from mlcicd_assets.demo_loop.telling import tell_evaluation, tell_rollout, tell_runs
from mlcicd_assets.demo_loop.watching import Watching, judged, largest_drift, violated, week_of
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT, PERFORMANCE

if TYPE_CHECKING:
    from resources.protocols import Cause, KeptRequest, StandingAlert

ACTS = (
    "a first version is approved and serves",
    "labelled performance falls, and no feature drifts",
    "a retraining is asked for by monitoring alone, and the challenger wins",
    "it is approved and rolled out by canary under traffic, without a failed request",
    "labelled performance recovers",
    "a poisoned retraining is blocked, and the alert goes to the owner, then to on-call",
)
APPROVER = "asha@example.com"
_HISTORY_DAYS = 44  # training window, holdout, and the days that labels take


@dataclass
class Play:
    """All acts in their order; `quiet` weeks come before the first payments of other thieves."""

    stage: Stage
    story: Story
    seed: int
    quiet: int = 2
    living: Living = field(init=False)
    watching: Watching = field(init=False)

    def __post_init__(self) -> None:
        monday = DRIFT_DAY - timedelta(days=DRIFT_DAY.weekday())
        week = Week(monday - timedelta(days=7 * self.quiet))
        self.watching = Watching(self.stage)
        self.living = Living(self.stage, self.story, self.watching, self.seed, week)
        self.story.day = week.first

    def prepare(self) -> None:
        """Project, home, and the key by which a person signs."""
        self.story.out.print("A project and a home of its own are made …", style="dim")
        self.stage.open()
        settle(self.stage.home)
        self.stage.command("keys", "new", APPROVER, "--team", "team:risk")

    def run(self) -> None:
        """Every act; raises NotHappened at the first thing that did not come."""
        acts = (self.first_release, self.decline, self.retraining, self.rollout, self.recovery, self.poison)
        for number, (title, act) in enumerate(zip(ACTS, acts, strict=True), 1):
            self.story.act(f"Act {number}: {title}")
            act()
            self.story.happened(title)

    # -- acts -------------------------------------------------------------------------------------------

    def first_release(self) -> None:
        """Files land, the daemon sees them; code that was never trained is trained; a person approves."""
        days = [self.living.week.first - timedelta(days=n) for n in range(_HISTORY_DAYS, 0, -1)]
        for day in days:
            publish(drawn(day, self.seed), self.stage.landing, day)
        self.story.tell("data", f"{len(days)} days of payments have landed, {days[0]} to {days[-1]}")
        self.stage.daemon.start()
        self.story.tell("serving", "Dagster's daemon starts, with every trigger switched on")
        self.stage.wait("the first training", lambda: self._waiting_version(0), 2 * PATIENCE_S)
        tell_runs(self.stage, self.story, 0)
        tell_evaluation(self.watching, self.story)
        self._approve("the first version, reviewed by hand")
        self.stage.wait("version 1 as champion", lambda: self.stage.champion, PATIENCE_S)
        self.story.tell("release", "version 1 is champion and serves through the proxy", "version 1 serves")

    def decline(self) -> None:
        """Weeks pass; at some day thieves change their tactics, and nobody tells the model."""
        before = self.watching.newest_request()
        for _ in range(self.quiet + 6):
            self.living.live()
            if self._asked("performance", before):
                break
        bad = violated(self.living.history)
        drift, weeks = largest_drift(self.living.history, DRIFT_DAY - timedelta(days=6))
        self._require(bool(bad), "labelled performance never fell")
        self._require(weeks >= 3, f"feature drift was judged in {weeks} weeks only")
        self._require(
            not violated(self.living.history, FEATURE_DRIFT), f"features drifted as well: PSI {drift:.2f}"
        )
        self._require(self._asked("performance", before) is not None, "monitoring asked for no retraining")
        told = ", ".join(str(week_of(one)) for one in bad)
        self.story.tell(
            "alarm", f"labelled performance is violated in {len(bad)} weeks ({told})", "performance violated"
        )
        self.story.tell(
            "drift", f"no feature has drifted in {weeks} weeks: the largest PSI is {drift:.3f}, of 0.2"
        )

    def retraining(self) -> None:
        """Nobody asks for it but monitoring."""
        asked = self._asked("performance", 0)
        if asked is None:
            raise NotHappened("monitoring asked for no retraining")
        self.story.tell(
            "training",
            f"request {asked.id} ({asked.request.cause}, by {asked.request.by}): {asked.request.reason}",
        )
        version = self.stage.wait("a challenger", lambda: self._waiting_version(1), PATIENCE_S)
        tell_runs(self.stage, self.story, asked.id - 1)
        gain = tell_evaluation(self.watching, self.story)
        self._require(gain is not None and gain > 0, "the challenger did not win")
        self.story.tell(
            "training", f"version {version} has passed every gate and waits for a person", "challenger wins"
        )

    def rollout(self) -> None:
        """Payments go on all the time, and both versions answer them."""
        failed, answered = len(self.living.answers.failures), self.living.answers.total
        with self.living.traffic():
            self._approve("the fall is understood: thieves have changed their tactics")
            self.stage.wait("version 2 as champion", lambda: self._champion(2), PATIENCE_S)
        tell_rollout(self.watching, self.story, 2)
        count, lost = self.living.answers.total - answered, len(self.living.answers.failures) - failed
        self._require(lost == 0, f"{lost} requests failed: {self.living.answers.failures[:3]}")
        self._require(self.living.answers.versions["2"] > 0, "version 2 answered nothing")
        self.story.tell(
            "release",
            f"version 2 is champion; {count:,} payments were answered meanwhile, none failed",
            "version 2 serves",
        )

    def recovery(self) -> None:
        """Labels of the new version's weeks come in."""
        for _ in range(4):
            self.living.live()
            mine = judged(self.living.history, PERFORMANCE, 2)
            if len(mine) >= 2:
                break
        fallen = min(one.value or 0.0 for one in violated(self.living.history))
        self._require(len(mine) >= 2, "no two weeks of version 2 could be judged")
        self._require(all(one.state == "ok" for one in mine), "version 2 does not keep its bound")
        newest = mine[-1].value or 0.0
        self.story.tell(
            "release", f"average precision is {newest:.2f} again, after {fallen:.2f}", "recovered"
        )

    def poison(self) -> None:
        """Upstream delivers old days again, with labels that somebody turned; then code is committed."""
        self.living.taken_in()
        before = self.watching.newest_request()
        days = self._poisoned_days()
        for day in days:
            publish(poisoned(drawn(day, self.seed), self.seed), self.stage.landing, day)
        self.story.tell(
            "poison",
            f"{len(days)} days are delivered again, {days[0]} to {days[-1]}: "
            "as many frauds as before, at other payments",
            "labels poisoned",
        )
        self.stage.checkout.edit(f"{MODEL}/model.py", "max_iter=80", "max_iter=90")
        commit = self.stage.checkout.commit("A few trees more")
        self.story.tell("training", f"commit {commit[:12]} on main: A few trees more")
        ended = self.stage.wait("the retraining's end", lambda: self._ended("code", before), 2 * PATIENCE_S)
        tell_runs(self.stage, self.story, before)
        self._require(ended.state == "failed", f"the poisoned retraining was not blocked: {ended.answer}")
        self._blocked(ended)

    def _blocked(self, ended: "KeptRequest") -> None:
        from mlcicd_assets.cli.status import failed_gates

        gates = failed_gates(self.stage.session, MODEL)
        self._require(bool(gates), "no gate failed")
        self._require(self.stage.champion == 2, f"champion is version {self.stage.champion}")
        self._require(self._waiting_version(2) is None, "a poisoned version waits for approval")
        for line in gates:
            self.story.tell("blocked", line)
        self.story.tell(
            "blocked",
            f"request {ended.id} failed: nothing is registered, version 2 serves on",
            "poisoned: blocked",
        )
        self.living.live_a_day()
        self._escalated()

    def _escalated(self) -> None:
        """Owner first; on-call once nobody has acknowledged it."""
        alert = self.stage.wait("an alert", lambda: alerts_of_gates(self.stage), PATIENCE_S)
        self.story.tell("alarm", f"alert to {alert.alert.owner}: {alert.alert.title}")
        looked = self.stage.wait("the escalation", self._looked, PATIENCE_S)
        self.story.tell(
            "alarm", f"nobody acknowledged it: {' then '.join(looked.told)} were told", "on-call is told"
        )

    def _looked(self) -> "StandingAlert | None":
        look(self.stage)
        return escalated(self.stage)

    # -- what acts are made of --------------------------------------------------------------------------

    def _approve(self, reason: str) -> None:
        version = self._waiting_version(0)
        self.stage.command("approve", MODEL, str(version), "--by", APPROVER, "--reason", reason)
        self.story.tell(
            "person",
            f"{APPROVER} approves version {version}, signed: {reason}",
            f"version {version} approved",
        )

    def _waiting_version(self, after: int) -> int | None:
        found = [one.version for one in self.watching.entries("approval_requested")]
        return next((one for one in reversed(found) if one is not None and one > after), None)

    def _champion(self, version: int) -> int | None:
        return version if self.stage.champion == version else None

    def _asked(self, cause: "Cause", after: int) -> "KeptRequest | None":
        return self.watching.request(cause, after)

    def _ended(self, cause: "Cause", after: int) -> "KeptRequest | None":
        found = self._asked(cause, after)
        return found if found is not None and found.state in {"done", "failed", "refused"} else None

    def _poisoned_days(self) -> list[date]:
        """Those that the next training would learn from, and its holdout would not judge."""
        from mlcicd_assets.assets.windows import windows_now

        split = windows_now(self.stage.session.model(MODEL), self.stage.session.lake).split
        first, last = split.train.start.date(), split.train.end.date()
        return [first + timedelta(days=n) for n in range((last - first).days)]

    def _require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise NotHappened(problem)
