"""The evaluation page: one self-contained HTML file for whoever decides, or wonders why it was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import GateResult
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.reports.figures import pictures_of, svg


@dataclass(frozen=True)
class Comparison:
    """One metric of challenger and champion, as text."""

    metric: str
    mine: str
    theirs: str
    change: str  # "+0.012"
    verdict: str  # "better", "worse", "same" or ""
    gated: bool


def render_evaluation(evaluation: Evaluation, gates: Sequence[GateResult]) -> str:
    """The page as HTML, with nothing to fetch: pictures and styles are inside."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mlcicd_assets.reports"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["breakable"] = lambda name: Markup("_<wbr>").join(name.split("_"))
    environment.filters["number"] = number
    environment.filters["signs"] = signs
    environment.filters["span"] = span
    failed = [gate for gate in gates if not gate.passed]
    return environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        training=evaluation.training,
        champion=evaluation.champion,
        gates=[*failed, *(gate for gate in gates if gate.passed)],
        failed=failed,
        # No gates at all is no proof either.
        passed=bool(gates) and not failed,
        comparisons=compare(evaluation, gates),
        pictures=[Markup(svg(name, evaluation)) for name in pictures_of(evaluation.task)],  # noqa: S704 - drawn by us
    )


def number(value: float | None) -> str:
    """Four digits that matter; small ones in powers of ten; a dash for what is missing."""
    if value is None:
        return "–"
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.4f}"


def signs(text: str) -> str:
    """Bounds as a reader expects them: ≥ and ≤."""
    return text.replace(">=", "≥").replace("<=", "≤")


def span(window: tuple[datetime, datetime]) -> str:
    """A window by its first and last day."""
    start, end = window
    return f"{start:%Y-%m-%d} … {end - timedelta(microseconds=1):%Y-%m-%d}"


def compare(evaluation: Evaluation, gates: Sequence[GateResult]) -> list[Comparison]:
    """All metrics, the gated ones first."""
    known = metrics_of(evaluation.task)
    gated = [gate.name for gate in gates if gate.name in known]
    names = [*gated, *(name for name in known if name not in gated)]
    return [_comparison(evaluation, name, gated=name in gated) for name in names]


def _comparison(evaluation: Evaluation, name: str, *, gated: bool) -> Comparison:
    mine = evaluation.metrics.get(name)
    theirs = evaluation.champion.metrics.get(name) if evaluation.champion else None
    if mine is None or theirs is None:
        return Comparison(name, number(mine), number(theirs), "", "", gated)
    change = mine - theirs
    better = (change > 0) == metrics_of(evaluation.task)[name]
    verdict = "same" if abs(change) < 5e-5 else "better" if better else "worse"
    return Comparison(name, number(mine), number(theirs), f"{change:+.4f}".replace("-", "−"), verdict, gated)
