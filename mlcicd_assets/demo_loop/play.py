"""The play, act by act. Whatever an act promises is looked for in what is really there, or the play fails."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mlcicd_assets.defs.payments.simulator import DRIFT_FROM
from mlcicd_assets.defs.payments.upstream import START
from mlcicd_assets.demo_loop.escalation import alerts_of_gates, escalated, look, settle
from mlcicd_assets.demo_loop.payments_sent import Answers, Week, batches, drawn, poisoned, publish, send
from mlcicd_assets.demo_loop.stage import MODEL, NotHappened, Stage
from mlcicd_assets.demo_loop.story import Story
from mlcicd_assets.demo_loop.watching import (
    Watching,
    judged,
    largest_drift,
    performance_told,
    violated,
    week_of,
)
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT, PERFORMANCE, Signal

if TYPE_CHECKING:
    import polars as pl

    from mlcicd_assets.ml.artifact.package import Column
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
DRIFT_DAY = START + timedelta(days=DRIFT_FROM)
_HISTORY_DAYS = 44  # training window, holdout, and the days that labels take
_PATIENCE_S = 600.0  # for a run, on a machine that is busy with other things
_PACE_S = 0.02  # between two requests while a release is watched


@dataclass
class Play:
    """All acts in their order; `quiet` weeks come before the first payments of other thieves."""

    stage: Stage
    story: Story
    seed: int
    quiet: int = 2
    week: Week = field(init=False)
    answers: Answers = field(default_factory=Answers)
    history: list[Signal] = field(default_factory=list)
    _landed: list[date] = field(default_factory=list)  # last week
    _told: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.watching = Watching(self.stage)
        monday = DRIFT_DAY - timedelta(days=DRIFT_DAY.weekday())
        self.week = Week(monday - timedelta(days=7 * self.quiet))
        self.story.day = self.week.first

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
        days = [self.week.first - timedelta(days=n) for n in range(_HISTORY_DAYS, 0, -1)]
        for day in days:
            publish(drawn(day, self.seed), self.stage.landing, day)
        self.story.tell("data", f"{len(days)} days of payments have landed, {days[0]} to {days[-1]}")
        self.stage.daemon.start()
        self.story.tell("serving", "Dagster's daemon starts, with every trigger switched on")
        self.stage.wait("the first training", lambda: self._waiting_version(0), 2 * _PATIENCE_S)
        self._tell_runs(0)
        self._tell_evaluation()
        self._approve("the first version, reviewed by hand")
        self.stage.wait("version 1 as champion", lambda: self.stage.champion, _PATIENCE_S)
        self.story.tell("release", "version 1 is champion and serves through the proxy", "version 1 serves")

    def decline(self) -> None:
        """Weeks pass; at some day thieves change their tactics, and nobody tells the model."""
        before = self.watching.newest_request()
        for _ in range(self.quiet + 6):
            self._live()
            if self._asked("performance", before):
                break
        bad = violated(self.history)
        drift, weeks = largest_drift(self.history, DRIFT_DAY - timedelta(days=6))
        self._require(bool(bad), "labelled performance never fell")
        self._require(weeks >= 3, f"feature drift was judged in {weeks} weeks only")
        self._require(not violated(self.history, FEATURE_DRIFT), f"features drifted as well: PSI {drift:.2f}")
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
        version = self.stage.wait("a challenger", lambda: self._waiting_version(1), _PATIENCE_S)
        self._tell_runs(asked.id - 1)
        gain = self._tell_evaluation()
        self._require(gain is not None and gain > 0, "the challenger did not win")
        self.story.tell(
            "training", f"version {version} has passed every gate and waits for a person", "challenger wins"
        )

    def rollout(self) -> None:
        """Payments go on all the time, and both versions answer them."""
        failed, answered = len(self.answers.failures), self.answers.total
        with self._traffic():
            self._approve("the fall is understood: thieves have changed their tactics")
            self.stage.wait("version 2 as champion", lambda: self._champion(2), _PATIENCE_S)
        self._tell_rollout()
        count, lost = self.answers.total - answered, len(self.answers.failures) - failed
        self._require(lost == 0, f"{lost} requests failed: {self.answers.failures[:3]}")
        self._require(self.answers.versions["2"] > 0, "version 2 answered nothing")
        self.story.tell(
            "release",
            f"version 2 is champion; {count:,} payments were answered meanwhile, none failed",
            "version 2 serves",
        )

    def recovery(self) -> None:
        """Labels of the new version's weeks come in."""
        for _ in range(4):
            self._live()
            mine = judged(self.history, PERFORMANCE, 2)
            if len(mine) >= 2:
                break
        fallen = min(one.value or 0.0 for one in violated(self.history))
        self._require(len(mine) >= 2, "no two weeks of version 2 could be judged")
        self._require(all(one.state == "ok" for one in mine), "version 2 does not keep its bound")
        newest = mine[-1].value or 0.0
        self.story.tell(
            "release", f"average precision is {newest:.2f} again, after {fallen:.2f}", "recovered"
        )

    def poison(self) -> None:
        """Upstream delivers old days again, with labels that somebody turned; then code is committed."""
        self._taken_in()
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
        ended = self.stage.wait("the retraining's end", lambda: self._ended("code", before), 2 * _PATIENCE_S)
        self._tell_runs(before)
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
        self._live(monitored=False, days=1)
        self._require(not self.answers.failures, f"requests failed: {self.answers.failures[:3]}")
        self._escalated()

    def _escalated(self) -> None:
        """Owner first; on-call once nobody has acknowledged it."""
        alert = self.stage.wait("an alert", lambda: alerts_of_gates(self.stage), _PATIENCE_S)
        self.story.tell("alarm", f"alert to {alert.alert.owner}: {alert.alert.title}")
        looked = self.stage.wait("the escalation", self._looked, _PATIENCE_S)
        self.story.tell(
            "alarm", f"nobody acknowledged it: {' then '.join(looked.told)} were told", "on-call is told"
        )

    def _looked(self) -> "StandingAlert | None":
        look(self.stage)
        return escalated(self.stage)

    # -- what acts are made of --------------------------------------------------------------------------

    def _live(self, *, monitored: bool = True, days: int = 7) -> None:
        """A week of payments: answered as they come; landed, looked at and taken in at its end."""
        frames = {day: drawn(day, self.seed) for day in self.week.days[:days]}
        before = self.answers.total
        for day, frame in frames.items():
            self.story.day = day
            if day == DRIFT_DAY:
                self.story.tell(
                    "drift", "from today on thieves use stolen cards in another way", "thieves change tactics"
                )
            send(self._url, batches(self._sent(frame), self._inputs), self.answers)
        self._require(not self.answers.failures, f"requests failed: {self.answers.failures[:3]}")
        if not monitored:
            self.story.tell(
                "serving",
                f"{self.answers.total - before:,} payments answered by version {self.stage.champion}",
            )
            return
        self._end_week(frames, self.answers.total - before)

    def _end_week(self, frames: "dict[date, pl.DataFrame]", answered: int) -> None:
        for day, frame in frames.items():
            publish(frame, self.stage.landing, day)
        self.story.day = self.week.after
        self.story.tell(
            "serving",
            f"{answered:,} payments answered by version {self.stage.champion}; the week's files have landed",
        )
        # The daemon takes this week in while the next is played: the labels that count now came before it.
        self._taken_in()
        self._landed = self.week.days
        self.history = self.watching.monitor(self.week.after)
        self._tell_news()
        self.week = self.week.next()

    def _taken_in(self) -> None:
        """The last week that landed has features."""
        self.stage.wait("last week's features", lambda: self.watching.made(self._landed) or None, _PATIENCE_S)

    def _tell_news(self) -> None:
        """Windows whose labels have come since the last look."""
        for one in judged(self.history, PERFORMANCE):
            if (one.window, one.version) not in self._told:
                self._told.add((one.window, one.version))
                self.story.tell("alarm" if one.state == "violated" else "serving", performance_told(one))

    @contextmanager
    def _traffic(self) -> Iterator[None]:
        """The next week's payments at a walking pace, until the block ends; then the rest of that week."""
        frames = {day: drawn(day, self.seed) for day in self.week.days}
        over = threading.Event()
        before = self.answers.total

        def walk() -> None:
            for frame in frames.values():
                send(self._url, self._paced(frame, over), self.answers)

        walking = threading.Thread(target=walk, name="payments")
        walking.start()
        try:
            yield
        finally:
            over.set()
            walking.join()
        self._end_week(frames, self.answers.total - before)

    def _paced(self, frame: "pl.DataFrame", over: threading.Event) -> "Iterator[dict[str, Any]]":
        """One payment after another while the release goes on; then as they come."""
        sent, inputs, place = self._sent(frame), self._inputs, 0
        while place < sent.height:
            if over.is_set():
                yield from batches(sent[place:], inputs)
                return
            yield from batches(sent[place : place + 1], inputs)
            place += 1
            time.sleep(_PACE_S)

    @property
    def _url(self) -> str:
        from mlcicd_assets.cli.predict import address_of

        return f"{address_of(self.stage.session, 'production')}/v2/models/{MODEL}/infer"

    @property
    def _inputs(self) -> "list[Column]":
        from mlcicd_assets.cli.predict import address_of, served_inputs

        return served_inputs(address_of(self.stage.session, "production"), MODEL)

    def _sent(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        import polars as pl

        return frame.with_columns(pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S"))

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

    def _tell_runs(self, after: int) -> None:
        asked = [one for one in self.stage.requests() if one.id > after]
        runs = {one.run for one in asked if one.run}
        causes = ", ".join(f"{one.request.scope} {one.request.cause}" for one in asked)
        self.story.tell("training", f"{len(asked)} requests ({causes}) were answered by {len(runs)} runs")

    def _tell_evaluation(self) -> float | None:
        """The newest training against the champion; the gain, None without one."""
        trained = self.watching.entries("trained")[-1]
        found = self.watching.evaluation(str(trained.details["run"]))
        split, holdout = found.training, found.holdout
        start, end = (holdout.start, holdout.end) if holdout else split.holdout
        self.story.tell(
            "training",
            f"trained on {split.train[0]:%Y-%m-%d} to {split.train[1]:%m-%d}, {split.train_rows:,} payments; "
            f"judged on {found.rows:,} labelled ones, {start:%Y-%m-%d} to {end:%m-%d}",
        )
        mine = next(one for one in found.significance.metrics if one.decides) if found.significance else None
        if mine is None or mine.champion is None:
            self.story.tell(
                "training",
                f"average precision {found.metrics['average_precision']:.2f}; there is no champion yet",
            )
            return None
        self.story.tell(
            "training",
            f"average precision {mine.value:.2f} against the champion's {mine.champion:.2f}: {mine.verdict} "
            f"(gain {mine.gain_low:.2f} to {mine.gain_high:.2f})",
        )
        return mine.gain_low

    def _tell_rollout(self) -> None:
        seen = []
        for one in self.watching.entries("rollout_routed"):
            weights = one.details.get("weights") or {}
            if one.version == 2 and weights.get("2"):
                seen.append(f"{weights['2']} %")
        self._require(len(seen) >= 2, f"the canary took these steps only: {seen}")
        self.story.tell("release", f"canary: {', '.join(dict.fromkeys(seen))} of the traffic to version 2")

    def _require(self, condition: bool, problem: str) -> None:
        if not condition:
            raise NotHappened(problem)
