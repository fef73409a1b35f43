"""What the play asks of what is really there: signals, evaluations, requests, runs."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.demo_loop.stage import MODEL, NotHappened, Stage
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT, PERFORMANCE, Signal

if TYPE_CHECKING:
    from mlcicd_assets.ml.evaluation.evaluate import Evaluation
    from resources.protocols import Cause, Entry, KeptRequest

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Watching:
    """Looks at the stage; changes nothing but what monitoring writes."""

    stage: Stage

    def monitor(self, day: date) -> list[Signal]:
        """Run `monitoring_report` as of a day's beginning; every signal until then, oldest first.

        A schedule would run it by the wall clock, which knows nothing of the play's days.
        """
        import dagster as dg

        from mlcicd_assets.assets.monitoring.kept import history
        from mlcicd_assets.assets.monitoring_report import monitoring_report

        config = {"ops": {f"{MODEL}__monitoring_report": {"config": {"as_of": f"{day}T00:00:00"}}}}
        done = dg.materialize(
            [monitoring_report(self.stage.session.model(MODEL))],
            resources=dict(self.stage.resources),
            instance=self.stage.instance,
            raise_on_error=False,
            run_config={**config, **_QUIET},
        )
        if not done.success:
            said = [str(event.step_failure_data.error) for event in done.get_step_failure_events()]
            raise NotHappened(f"monitoring as of {day}: {'; '.join(said)[:500]}")
        return history(self.stage.session.lake, MODEL, until=f"{day}T00:00")

    def made(self, days: Sequence[date]) -> bool:
        """Whether the features of all these days were made of what has landed."""
        known = {
            one.partition for one in self.stage.session.records.all() if one.asset == "payments/features"
        }
        return {str(day) for day in days} <= known

    def request(self, cause: "Cause", after: int, scope: str = f"model:{MODEL}") -> "KeptRequest | None":
        """The first request of a cause with a higher number than `after`."""
        found = (one for one in self.stage.requests() if one.id > after)
        return next((one for one in found if one.request.cause == cause and one.request.scope == scope), None)

    def newest_request(self) -> int:
        """Its number; 0 before the first."""
        return max((one.id for one in self.stage.requests()), default=0)

    def entries(self, action: str) -> "list[Entry]":
        """The ledger's lines of an action, oldest first."""
        return [one for one in self.stage.session.ledger.entries(MODEL) if one.action == action]

    def evaluation(self, run: str) -> "Evaluation":
        """What was measured of a training's package."""
        from mlcicd_assets.ml.evaluation.evaluate import Evaluation
        from mlcicd_assets.release.run_files import EVALUATION

        with tempfile.TemporaryDirectory(prefix="mlcicd-") as folder:
            path = self.stage.session.tracking.fetch(run, EVALUATION, Path(folder))
            return Evaluation.model_validate_json(path.read_bytes())


def judged(history: Sequence[Signal], name: str, version: int | None = None) -> list[Signal]:
    """The windows that could be judged."""
    return [one for one in history if one.name == name and one.judged and version in (None, one.version)]


def performance_told(signal: Signal) -> str:
    """One window's labelled performance in words."""
    verb = "VIOLATES" if signal.state == "violated" else "keeps"
    spread = (
        f" ({signal.low:.2f} to {signal.high:.2f})"
        if signal.low is not None and signal.high is not None
        else ""
    )
    return (
        f"week of {week_of(signal)}, version {signal.version}: average precision {signal.value:.2f}{spread} "
        f"on {signal.rows:,} labelled payments, {verb} {_bound(signal)}"
    )


def week_of(signal: Signal) -> date:
    """The Monday of a window."""
    return datetime.fromisoformat(signal.window).date()


def _bound(signal: Signal) -> str:
    sign, _, limit = signal.bound.partition(" ")
    return f"{sign} {float(limit):.2f}"


def largest_drift(history: Sequence[Signal], since: date) -> tuple[float, int]:
    """The largest feature drift of any week from then on, and in how many weeks it was judged."""
    found = [one.value or 0.0 for one in judged(history, FEATURE_DRIFT) if week_of(one) >= since]
    return max(found, default=0.0), len(found)


def violated(history: Sequence[Signal], name: str = PERFORMANCE) -> list[Signal]:
    """The windows that broke their bound."""
    return [one for one in history if one.name == name and one.state == "violated"]
