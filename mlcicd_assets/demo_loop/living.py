"""Weeks as they pass: payments are answered, land as files, and are looked at once their labels have come."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mlcicd_assets.defs.payments.simulator import DRIFT_FROM
from mlcicd_assets.defs.payments.upstream import START
from mlcicd_assets.demo_loop.payments_sent import Answers, Week, batches, drawn, publish, send
from mlcicd_assets.demo_loop.stage import MODEL, PATIENCE_S, NotHappened, Stage
from mlcicd_assets.demo_loop.story import Story
from mlcicd_assets.demo_loop.watching import Watching, judged, performance_told
from mlcicd_assets.ml.monitoring.signals import PERFORMANCE, Signal

if TYPE_CHECKING:
    import polars as pl

    from mlcicd_assets.ml.artifact.package import Column

DRIFT_DAY = START + timedelta(days=DRIFT_FROM)
_PACE_S = 0.02  # between two payments while a release is watched


@dataclass
class Living:
    """The bank's days: `week` is the next one to be lived."""

    stage: Stage
    story: Story
    watching: Watching
    seed: int
    week: Week
    answers: Answers = field(default_factory=Answers)
    history: list[Signal] = field(default_factory=list)  # every signal until now
    _landed: list[date] = field(default_factory=list)  # last week
    _told: set[tuple[str, int]] = field(default_factory=set)

    def live(self) -> None:
        """A week."""
        frames = {day: drawn(day, self.seed) for day in self.week.days}
        before = self.answers.total
        for day, frame in frames.items():
            self.story.day = day
            if day == DRIFT_DAY:
                told = "from today on thieves use their victims' own devices, no new ones"
                self.story.tell("drift", told, "thieves change tactics")
            send(self._url, batches(_as_sent(frame), self._inputs), self.answers)
        self._end(frames, self.answers.total - before)

    def live_a_day(self) -> None:
        """One more day of payments, which nobody looks at."""
        before = self.answers.total
        self.story.day = self.week.first
        send(self._url, batches(_as_sent(drawn(self.week.first, self.seed)), self._inputs), self.answers)
        self._require_answers()
        count = self.answers.total - before
        self.story.tell("serving", f"{count:,} payments answered by version {self.stage.champion}")

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """The next week's payments, one after another until the block ends; then the rest of that week."""
        frames = {day: drawn(day, self.seed) for day in self.week.days}
        walk = _Walk(self._url, self._inputs, list(frames.values()), self.answers)
        before = self.answers.total
        walk.start()
        try:
            yield
        except BaseException:
            walk.stop()
            raise
        walk.hurry()
        self._end(frames, self.answers.total - before)

    def taken_in(self) -> None:
        """Wait until the last week that landed has features."""
        self.stage.wait("last week's features", lambda: self.watching.made(self._landed) or None, PATIENCE_S)

    def _end(self, frames: "dict[date, pl.DataFrame]", answered: int) -> None:
        self._require_answers()
        for day, frame in frames.items():
            publish(frame, self.stage.landing, day)
        self.story.day = self.week.after
        champion = self.stage.champion
        self.story.tell(
            "serving", f"{answered:,} payments answered by version {champion}; the week's files have landed"
        )
        # The daemon takes this week in while the next is lived: the labels that count now came before it.
        self.taken_in()
        self._landed = self.week.days
        self.history = self.watching.monitor(self.week.after)
        self._tell_news()
        self.week = self.week.next()

    def _require_answers(self) -> None:
        if self.answers.failures:
            raise NotHappened(f"requests failed: {self.answers.failures[:3]}")

    def _tell_news(self) -> None:
        """Windows whose labels have come since the last look."""
        for one in judged(self.history, PERFORMANCE):
            if (one.window, one.version) not in self._told:
                self._told.add((one.window, one.version))
                self.story.tell("alarm" if one.state == "violated" else "serving", performance_told(one))

    @property
    def _url(self) -> str:
        from mlcicd_assets.cli.predict import address_of

        return f"{address_of(self.stage.session, 'production')}/v2/models/{MODEL}/infer"

    @property
    def _inputs(self) -> "list[Column]":
        from mlcicd_assets.cli.predict import address_of, served_inputs

        return served_inputs(address_of(self.stage.session, "production"), MODEL)


class _Walk:
    """Sends payments in a thread, at a walking pace until it is told to hurry or to stop."""

    def __init__(
        self, url: str, inputs: "list[Column]", frames: "list[pl.DataFrame]", answers: Answers
    ) -> None:
        self._url, self._inputs, self._frames, self._answers = url, inputs, frames, answers
        self._hurry, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="payments")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hurry(self) -> None:
        """Send what is left as fast as it goes; returns when all is sent."""
        self._hurry.set()
        self._thread.join()

    def stop(self) -> None:
        """Send nothing more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for frame in self._frames:
                send(self._url, self._requests(_as_sent(frame)), self._answers)
        except Exception as error:  # noqa: BLE001  whoever waits for the traffic must hear of it
            self._answers.failures.append(f"the payments ended: {error}")

    def _requests(self, sent: "pl.DataFrame") -> Iterator[dict[str, Any]]:
        for place in range(sent.height):
            if self._stop.is_set():
                return
            if self._hurry.is_set():
                yield from batches(sent[place:], self._inputs)
                return
            yield from batches(sent[place : place + 1], self._inputs)
            time.sleep(_PACE_S)


def _as_sent(frame: "pl.DataFrame") -> "pl.DataFrame":
    """Times as ISO 8601 text, which is how the protocol carries them."""
    import polars as pl

    return frame.with_columns(pl.col("event_time").dt.strftime("%Y-%m-%dT%H:%M:%S"))
