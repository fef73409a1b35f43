"""A backtest as people see it: a table of rules, and a map of partitions and rules."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlcicd_assets.ml.backtest.replay import Backtest, RuleHistory
from mlcicd_assets.reports.figures import FAINT, INK, SOFT, THEIRS, data_uri

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("rule", "evaluated", "cold starts", "failed", "alarm rate", "first", "last", "partitions")
_LISTED = 12  # partitions in a table's cell
_LABELS = 24  # partitions named below the map
_RULES = 40
_PARTITIONS = 400  # the newest: more would be finer than a pixel
# Okabe and Ito's colours; failed cells bear a mark as well, for those who see none.
_COLOURS = {
    "passed": SOFT,
    "failed": THEIRS,
    "excused": "#e69f00",
    "cold start": "#eceef1",
    "not enough evidence": "#eceef1",
    "not reached": "#ffffff",
}
_LEGEND = {"passed": "", "failed": "×", "excused": "e", "cold start": "·", "not reached": ""}


def row(history: RuleHistory) -> list[str]:
    """The cells of COLUMNS."""
    failed = history.failed
    return [
        history.rule,
        str(history.evaluated),
        str(history.cold_starts),
        str(len(failed)) + (f" (+{history.excused} excused)" if history.excused else ""),
        percent(history.alarm_rate),
        failed[0] if failed else "",
        failed[-1] if failed else "",
        _listed(failed),
    ]


def percent(rate: float | None) -> str:
    """`8.3 %`; a dash where nothing was evaluated."""
    return "–" if rate is None else f"{100 * rate:.1f} %"


def _listed(partitions: Sequence[str]) -> str:
    more = len(partitions) - _LISTED
    return ", ".join(partitions[:_LISTED]) + (f" … {more} more" if more > 0 else "")


def picture(backtest: Backtest) -> str:
    """Rules down, partitions across, as an image in Markdown: passed, failed, excused, cold start."""
    return f"![{backtest.name}: gates by partition]({data_uri(map_png(backtest))})"


def map_png(backtest: Backtest) -> bytes:
    """The same as PNG; of very many, the newest partitions and the first rules."""
    from matplotlib.figure import Figure

    rules, keys = backtest.rules[:_RULES], backtest.partitions[-_PARTITIONS:]
    wide, high = min(max(3.4 + 0.3 * len(keys), 5.6), 16.0), 1.5 + 0.27 * len(rules)
    figure = Figure(figsize=(wide, high))
    axes = figure.subplots(gridspec_kw={"left": 2.1 / wide, "right": 1 - 0.15 / wide})
    figure.subplots_adjust(top=1 - 0.5 / high, bottom=0.85 / high)
    axes.set_facecolor(_COLOURS["not reached"])
    for down, history in enumerate(rules):
        _draw(axes, down, history, {key: at for at, key in enumerate(keys)})
    axes.set(xlim=(-0.5, len(keys) - 0.5), ylim=(len(rules) - 0.5, -0.5))
    axes.set_yticks(range(len(rules)), [f"{one.rule}  {percent(one.alarm_rate)}" for one in rules])
    step = -(-len(keys) // _LABELS)
    axes.set_xticks(range(0, len(keys), step), [key or "all" for key in keys[::step]], rotation=90)
    axes.tick_params(labelsize=7.5, labelcolor=INK, length=0)
    axes.spines[:].set_visible(False)
    _legend(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _draw(axes: "Axes", down: int, history: RuleHistory, places: dict[str, int]) -> None:
    from matplotlib.patches import Rectangle

    for finding in (one for one in history.findings if one.partition in places):
        at = places[finding.partition]
        colour = _COLOURS[finding.outcome]
        axes.add_patch(Rectangle((at - 0.46, down - 0.42), 0.92, 0.84, facecolor=colour, linewidth=0))
        mark = _LEGEND.get(finding.outcome, "·")
        if mark and len(places) <= 2 * _LABELS:
            ink = "white" if finding.outcome == "failed" else INK
            axes.text(at, down, mark, ha="center", va="center", fontsize=8, color=ink)


def _legend(axes: "Axes") -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=_COLOURS[name], edgecolor=FAINT, linewidth=0.5, label=f"{name} {mark}".strip())
        for name, mark in _LEGEND.items()
    ]
    axes.legend(
        handles=handles,
        ncols=len(handles),
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        fontsize=7.5,
        frameon=False,
        borderpad=0.2,
        handlelength=1.1,
        columnspacing=1.0,
    )
