"""The monitoring page: one self-contained HTML file about how a model does in production."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.monitoring.episodes import Episode, latest
from mlcicd_assets.ml.monitoring.signals import PERFORMANCE, SHADOW, Signal
from mlcicd_assets.ml.monitoring.windows import span_of, window_length
from mlcicd_assets.release.monitored_events import Happened
from mlcicd_assets.reports.evaluation import drawn_picture, page_environment
from mlcicd_assets.reports.monitoring_figures import PICTURES, Drawn, svg

# Windows that are drawn: three months of days.
SHOWN = 90
STATES = {"ok": "✓ ok", "violated": "✗ violated", "waiting": "… waiting", "not enough evidence": "? unknown"}
CLASSES = {"ok": "pass", "violated": "fail", "waiting": "quiet", "not enough evidence": "inconclusive"}
WORDS = {
    "performance": "Labelled performance",
    "feature_drift": "Drift of features",
    "score_drift": "Drift of scores",
    "error_rate": "Errors that users saw",
    "latency_p99_ms": "Latency, 99 of 100 within (ms)",
    "labels": "Labels that have come",
    "traffic": "Predicted rows",
    "shadow": "Shadow against champion",
}


@dataclass(frozen=True)
class Facts:
    """What the page tells of; `links` by window and version are Evidently's pages."""

    model: ModelDeclaration
    signals: Sequence[Signal]
    episodes: Sequence[Episode]
    events: Sequence[Happened]
    champion: int
    as_of: datetime
    asked: Mapping[str, str] = field(
        default_factory=dict
    )  # by an episode's fingerprint: what became of its request
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """What performance is measured in."""
        rule = self.model.monitor.performance
        return (rule.metric if rule else "") or self.model.champion.metric

    def drawn(self) -> Drawn:
        """The newest windows, for the pictures."""
        windows = sorted({one.window for one in self.signals})[-SHOWN:]
        shown = [one for one in self.signals if one.window in set(windows)]
        length = window_length(self.model.monitor.window)
        return Drawn(shown, self.champion, length, self.events, self.episodes, self.metric)


def render_monitoring(facts: Facts) -> str:
    """The page as HTML, with nothing to fetch: pictures and styles are inside, and scripts are forbidden."""
    drawn = facts.drawn()
    newest = latest(facts.signals, facts.champion)
    length = window_length(facts.model.monitor.window)
    standing = [one for one in facts.episodes if one.open]
    violated = [one for one in newest.values() if one.state == "violated"]
    return (
        page_environment()
        .get_template("monitoring.html.j2")
        .render(
            about=facts.model,
            champion=facts.champion,
            as_of=facts.as_of,
            metric=facts.metric,
            newest=[newest[name] for name in WORDS if name in newest and name != SHADOW],
            standing=standing,
            violated=violated,
            unknown=[one for one in newest.values() if one.state == "not enough evidence"],
            episodes=[
                (one, facts.asked.get(one.fingerprint(facts.model.name), ""))
                for one in reversed(facts.episodes)
            ],
            events=list(reversed(facts.events)),
            links=facts.links,
            pictures={name: drawn_picture(svg(name, drawn)) for name in PICTURES},
            windows=windows_of(drawn.signals),
            shadows=[one for one in drawn.signals if one.name == SHADOW][-10:],
            span=lambda key: str(span_of(key, length)),
            words=WORDS,
            states=STATES,
            classes=CLASSES,
            performance=newest.get(PERFORMANCE),
        )
    )


def windows_of(signals: Sequence[Signal]) -> list[tuple[str, int, dict[str, Signal]]]:
    """Window, version and its signals by name: the newest first."""
    found: dict[tuple[str, int], dict[str, Signal]] = {}
    for one in signals:
        found.setdefault((one.window, one.version), {})[one.name] = one
    return [(window, version, mine) for (window, version), mine in sorted(found.items(), reverse=True)]
