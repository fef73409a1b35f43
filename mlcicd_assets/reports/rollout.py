"""A rollout as people see it: its findings as a table, its way as a picture, both on a small page."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from mlcicd_assets.release.analysis import Analysis, Finding
from mlcicd_assets.release.rollout import State
from mlcicd_assets.release.rollout_history import Moment
from mlcicd_assets.reports.figures import FAINT, INK, MINE, SOFT, THEIRS, data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("finding", "outcome", "value", "champion", "bound", "requests", "told")
_AFTER = {"promoting", "watching", "finishing", "promoted"}
# Okabe and Ito's colours; each outcome has a mark of its own as well.
_MARKS = {"passed": ("o", "#009e73"), "failed": ("X", THEIRS), "inconclusive": ("D", "#e69f00")}


def row(finding: Finding) -> dict[str, str]:
    """The cells of COLUMNS."""
    cells = (
        finding.name,
        finding.outcome,
        _number(finding.value),
        _number(finding.reference),
        finding.bound,
        str(finding.requests),
        finding.message,
    )
    return dict(zip(COLUMNS, cells, strict=True))


def rows(analysis: Analysis | None) -> list[dict[str, str]]:
    """Every finding of an analysis."""
    return [row(finding) for finding in analysis.findings] if analysis else []


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def share_of(state: State) -> int:
    """The new version's share of the users' traffic, percent, once the state's actions are done."""
    if state.kind == "rollback" or state.phase in {"rolling_back", "rolled_back", "launching"}:
        return 0
    if state.phase in _AFTER or state.held_from in _AFTER:
        return 100
    return state.current.percent if state.current and state.current.kind == "canary" else 0


def picture(moments: Sequence[Moment]) -> str:
    """The way of a rollout as an image in Markdown."""
    return f"![the rollout's way]({data_uri(timeline_png(moments))})"


def timeline_png(moments: Sequence[Moment]) -> bytes:
    """The new version's share over time, and each measurement with its outcome; below, errors and p99."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6))
    share, errors, times = figure.subplots(
        3, sharex=True, gridspec_kw={"height_ratios": [2.4, 1, 1], "hspace": 0.3, "left": 0.11, "right": 0.97}
    )
    start = datetime.fromisoformat(moments[0].at)
    minutes = [(datetime.fromisoformat(one.at) - start).total_seconds() / 60 for one in moments]
    _share(share, minutes, moments)
    _pair(errors, minutes, moments, "errors_against_champion", "errors", 100, "%")
    _pair(times, minutes, moments, "p99_ratio", "p99 / champion's", 1, "×")
    times.set_xlabel("minutes since it began", fontsize=8, color=INK)
    for axes in (share, errors, times):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(labelsize=7.5, labelcolor=INK, color=FAINT)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _share(axes: "Axes", minutes: Sequence[float], moments: Sequence[Moment]) -> None:
    shares = [share_of(one.state) for one in moments]
    axes.step(minutes, shares, where="post", color=MINE, linewidth=1.8)
    axes.fill_between(minutes, shares, step="post", color=SOFT)
    for outcome, (marker, colour) in _MARKS.items():
        at = [
            (minute, share)
            for minute, share, one in zip(minutes, shares, moments, strict=True)
            if one.state.analysis and one.state.analysis.outcome == outcome
        ]
        if at:
            xs, ys = [one[0] for one in at], [one[1] for one in at]
            axes.scatter(xs, ys, marker=marker, s=26, color=colour, label=outcome, zorder=3)
    first = moments[0].state
    last = moments[-1].state
    axes.set_title(
        f"{first.model}: version {first.target.version}, {last.phase.replace('_', ' ')}",
        loc="left",
        fontsize=9.5,
        fontweight="bold",
        color=INK,
    )
    axes.set(ylim=(-4, 108), ylabel="share, %")
    axes.yaxis.label.set(fontsize=8, color=INK)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=7.5, frameon=False, loc="upper left", ncols=3)


def _pair(
    axes: "Axes",
    minutes: Sequence[float],
    moments: Sequence[Moment],
    name: str,
    label: str,
    scale: float,
    unit: str,
) -> None:
    found = [
        (minute, finding)
        for minute, one in zip(minutes, moments, strict=True)
        for finding in (one.state.analysis.findings if one.state.analysis else ())
        if finding.name == name and finding.value is not None
    ]
    axes.set_ylabel(f"{label}, {unit}", fontsize=7.5, color=INK)
    if not found:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", fontsize=8, color=FAINT)
        axes.set_yticks([])
        return
    at = [minute for minute, _ in found]
    axes.plot(at, [scale * (one.value or 0) for _, one in found], "o-", color=MINE, markersize=3, label="new")
    if name.endswith("champion"):
        theirs = [scale * (one.reference or 0) for _, one in found]
        axes.plot(at, theirs, "s--", color=THEIRS, markersize=3, label="champion")
        axes.legend(fontsize=7, frameon=False, loc="upper left", ncols=2)
    axes.set_ylim(bottom=0)


def page(moments: Sequence[Moment]) -> str:
    """The whole rollout as a page of its own."""
    from jinja2 import Environment

    state = moments[-1].state
    lines = [
        {
            "at": one.at[:19].replace("T", " "),
            "what": one.action.replace("_", " "),
            "phase": one.state.phase.replace("_", " "),
            "share": f"{share_of(one.state)} %",
            "who": one.actor,
            "why": one.reason or (one.state.analysis.reason if one.state.analysis else ""),
        }
        for one in moments
    ]
    return (
        Environment(autoescape=True)
        .from_string(_PAGE)
        .render(
            state=state,
            picture=data_uri(timeline_png(moments)),
            columns=COLUMNS,
            findings=rows(state.analysis),
            lines=lines,
        )
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ state.model }}: rollout of version {{ state.target.version }}</title>
<style>
 body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#23272f}
 img{max-width:100%} table{border-collapse:collapse;width:100%;font-size:.85rem;margin:1rem 0}
 th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e3e6ea;vertical-align:top}
 .failed{color:#b04a00;font-weight:600} .passed{color:#00765a} .inconclusive{color:#8a6100}
</style></head><body>
<h1>{{ state.model }}: version {{ state.target.version }}</h1>
<p>{{ state.phase.replace('_', ' ') }}{% if state.reason %}: {{ state.reason }}{% endif %}.
{% if state.stable %}The version before is {{ state.stable.version }}.{% endif %}
Digest <code>{{ state.target.digest }}</code>.</p>
<img src="{{ picture }}" alt="share of traffic, errors and p99 over time">
{% if findings %}<h2>The last analysis</h2>
<table><tr>{% for column in columns %}<th>{{ column }}</th>{% endfor %}</tr>
{% for one in findings %}<tr>{% for column in columns %}
<td{% if column == 'outcome' %} class="{{ one[column] }}"{% endif %}>{{ one[column] }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endif %}
<h2>Every step</h2>
<table><tr><th>when (UTC)</th><th>what</th><th>phase</th><th>share</th><th>who</th><th>why</th></tr>
{% for one in lines %}<tr><td>{{ one.at }}</td><td>{{ one.what }}</td><td>{{ one.phase }}</td>
<td>{{ one.share }}</td><td>{{ one.who }}</td><td>{{ one.why }}</td></tr>
{% endfor %}</table></body></html>
"""
