"""The pictures of monitoring: one point per window, and releases marked where they happened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlcicd_assets.ml.monitoring.episodes import Episode
from mlcicd_assets.ml.monitoring.signals import (
    FEATURE_DRIFT,
    LABELS,
    LATENCY,
    PERFORMANCE,
    SCORE_DRIFT,
    TRAFFIC,
    Signal,
)
from mlcicd_assets.ml.monitoring.windows import span_of
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.release.monitored_events import Happened
from mlcicd_assets.reports.figures import FAINT, INK, MINE, SOFT, STYLE, THEIRS, saved, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE, _SMALL = (8.6, 3.3), (4.2, 2.9)
_EFFECTS = 12
_DAY = timedelta(days=1)
_MARKERS = "osD^vP*"
# Told apart by marker and line as well as by colour; the champion comes first.
_LINES: tuple[tuple[str, Any], ...] = (
    (MINE, "-"),
    (THEIRS, "--"),
    (FAINT, "-."),
    (FAINT, ":"),
    (FAINT, (0, (5, 1))),
)


@dataclass(frozen=True)
class Drawn:
    """What the pictures are made of."""

    signals: Sequence[Signal]  # of the windows that are shown, oldest first
    champion: int
    length: timedelta
    events: Sequence[Happened] = ()
    episodes: Sequence[Episode] = ()
    metric: str = ""

    def named(self, name: str) -> list[Signal]:
        """The signals of one name."""
        return [one for one in self.signals if one.name == name]

    def middle(self, one: Signal) -> float:
        """Where a window's point stands."""
        return day(span_of(one.window, self.length).start + self.length / 2)

    @property
    def width(self) -> float:
        """Of a window, in days."""
        return self.length / _DAY

    @property
    def versions(self) -> list[int]:
        """Every version that answered, the champion first, then the newest."""
        found = {one.version for one in self.signals if one.version}
        return sorted(found, key=lambda version: (version != self.champion, -version))


def day(moment: datetime) -> float:
    """A moment as matplotlib's dates count it: days since 1970."""
    return moment.timestamp() / 86_400


def svg(name: str, drawn: Drawn) -> str:
    """One of PICTURES to stand in a page that defines the colours."""
    return themed(name, _picture(name, drawn, "svg"), _DESCRIBED[name])


def png(name: str, drawn: Drawn) -> bytes:
    """One of PICTURES on a white ground."""
    return _picture(name, drawn, "png")


def _picture(name: str, drawn: Drawn, kind: str) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    draw, size = PICTURES[name]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        wide = size == _WIDE
        margins = {"left": 0.075 if wide else 0.15, "right": 0.98, "bottom": 0.16, "top": 0.84}
        if name == "effects":
            margins = {"left": 0.4, "right": 0.95, "bottom": 0.16, "top": 0.9}
        draw(figure.subplots(gridspec_kw=margins), drawn)
        return saved(figure, kind)


def _performance(axes: "Axes", drawn: Drawn) -> None:
    _episodes(axes, drawn, "performance")
    found = drawn.named(PERFORMANCE)
    for place, version in enumerate(drawn.versions):
        mine = [one for one in found if one.version == version and one.value is not None]
        if mine:
            _band(axes, drawn, mine, place, version)
    bounds = [(one, Bound.parse(one.bound).limit) for one in found if one.version and one.bound]
    if bounds:
        at, limits = [drawn.middle(one) for one, _ in bounds], [limit for _, limit in bounds]
        axes.step(at, limits, where="mid", color=INK, linewidth=1, linestyle=":", label="bound")
    waiting = [one for one in found if one.state == "waiting" and one.version in {0, drawn.champion}]
    for one in waiting:
        start = day(span_of(one.window, drawn.length).start)
        axes.axvspan(start, start + drawn.width, color=SOFT, alpha=0.55, linewidth=0)
    axes.set_title(f"{drawn.metric.replace('_', ' ')} on labelled rows", pad=26)
    _finish(axes, drawn)


def _band(axes: "Axes", drawn: Drawn, mine: Sequence[Signal], place: int, version: int) -> None:
    colour, line = _LINES[min(place, len(_LINES) - 1)]
    at = [drawn.middle(one) for one in mine]
    values = [one.value or 0.0 for one in mine]
    lows = [value if one.low is None else one.low for one, value in zip(mine, values, strict=True)]
    highs = [value if one.high is None else one.high for one, value in zip(mine, values, strict=True)]
    axes.fill_between(at, lows, highs, color=colour, alpha=0.16, linewidth=0)
    marker = _MARKERS[place % len(_MARKERS)]
    label = f"v{version}" + (", champion" if version == drawn.champion else "")
    axes.plot(at, values, color=colour, linestyle=line, marker=marker, markersize=4, label=label)
    bad = [one for one in mine if one.state == "violated"]
    axes.plot(
        [drawn.middle(one) for one in bad],
        [one.value or 0.0 for one in bad],
        "x",
        color=THEIRS,
        markersize=9,
        markeredgewidth=2,
    )


def _drift(axes: "Axes", drawn: Drawn) -> None:
    """Effects as parts of what is tolerated, so that scores and features share one axis."""
    _episodes(axes, drawn, "drift")
    for name, colour, line, marker, label in (
        (FEATURE_DRIFT, MINE, "-", "o", "features, the largest"),
        (SCORE_DRIFT, THEIRS, "--", "s", "scores"),
    ):
        for mine in _by_version(drawn, name):
            values = [(one.value or 0.0) / _limit(one) for one in mine]
            _line(axes, drawn, mine, values, color=colour, linestyle=line, marker=marker, label=label)
            label = "_"
    axes.axhline(1.0, color=INK, linewidth=1, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_title("Drift: effect / tolerated", pad=26)
    _finish(axes, drawn)


def _by_version(drawn: Drawn, name: str) -> list[list[Signal]]:
    """The known values of each version that users were answered by, so that lines break where it changed."""
    shadows = {
        (one.window, one.version) for one in drawn.named(TRAFFIC) if not one.evidence.get("share", 1.0)
    }
    known = [
        one
        for one in drawn.named(name)
        if one.value is not None and one.version and (one.window, one.version) not in shadows
    ]
    return [
        [one for one in known if one.version == version]
        for version in drawn.versions
        if any(one.version == version for one in known)
    ]


def _line(axes: "Axes", drawn: Drawn, mine: Sequence[Signal], values: Sequence[float], **style: Any) -> None:
    axes.plot([drawn.middle(one) for one in mine], values, markersize=3.5, **style)


def _limit(one: Signal) -> float:
    return Bound.parse(one.bound.partition(" ")[2]).limit or 1.0


def _effects(axes: "Axes", drawn: Drawn) -> None:
    """The newest window's features, the largest first."""
    newest = next(
        (one for one in reversed(drawn.named(FEATURE_DRIFT)) if one.version == drawn.champion and one.judged),
        None,
    )
    lines = [line for line in newest.evidence.get("effects", []) if line[4]] if newest else []
    largest = sorted(lines, key=lambda line: -line[3] / line[4])[:_EFFECTS]
    if not largest or newest is None:
        _nothing(axes)
        return
    ratios = [min(line[3] / line[4], 5.0) for line in largest]
    colours = [THEIRS if line[1] == "drifted" else MINE for line in largest]
    names = [f"{line[0][:22]} ({line[2]})" for line in largest]
    axes.barh(range(len(largest)), ratios, color=colours, height=0.62)
    axes.set_yticks(range(len(largest)), names)
    axes.invert_yaxis()
    axes.axvline(1.0, color=INK, linewidth=1, linestyle=":")
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.set(title=f"Features, {_short(newest)}", xlabel="effect / tolerated")


def _scores(axes: "Axes", drawn: Drawn) -> None:
    newest = next(
        (
            one
            for one in reversed(drawn.named(SCORE_DRIFT))
            if one.version == drawn.champion and one.evidence.get("scores")
        ),
        None,
    )
    if newest is None:
        _nothing(axes)
        return
    shapes: Mapping[str, Any] = newest.evidence["scores"]
    count = len(shapes["reference"])
    edges = [shapes["low"] + (shapes["high"] - shapes["low"]) * n / count for n in range(count + 1)]
    axes.stairs(shapes["reference"], edges, color=THEIRS, linestyle="--", linewidth=1.6, label="evaluation")
    axes.stairs(shapes["window"], edges, color=MINE, fill=True, alpha=0.3, label=_short(newest))
    axes.stairs(shapes["window"], edges, color=MINE, linewidth=1.6)
    positive = [share for share in (*shapes["reference"], *shapes["window"]) if share > 0]
    if positive and max(positive) / min(positive) > 200:  # rare scores are what matters
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.set(title="Scores", xlabel="score", ylabel="share of rows")
    axes.legend(loc="upper right")


def _traffic(axes: "Axes", drawn: Drawn) -> None:
    found = drawn.named(TRAFFIC)
    windows = sorted({one.window for one in found})
    bottoms = dict.fromkeys(windows, 0.0)
    width = drawn.width * 0.82
    for place, version in enumerate(drawn.versions):
        mine = [one for one in found if one.version == version and one.evidence.get("share")]
        if not mine:
            continue
        at, rows = [drawn.middle(one) for one in mine], [one.value or 0.0 for one in mine]
        colour = (MINE, THEIRS, FAINT)[min(place, 2)]
        below = [bottoms[one.window] for one in mine]
        axes.bar(at, rows, width=width, bottom=below, color=colour, label=f"v{version}")
        for one, count in zip(mine, rows, strict=True):
            bottoms[one.window] += count
    axes.set_title("Predicted rows of users", pad=26)
    _finish(axes, drawn)


def _latency(axes: "Axes", drawn: Drawn) -> None:
    label = "scoring"
    for mine in _by_version(drawn, TRAFFIC):
        scored = [one for one in mine if "p99" in one.evidence.get("scoring_ms", {})]
        values = [one.evidence["scoring_ms"]["p99"] for one in scored]
        _line(axes, drawn, scored, values, color=MINE, linestyle="-", marker="o", label=label)
        label = "_"
    label = "as users waited"
    for mine in _by_version(drawn, LATENCY):
        values = [one.value or 0.0 for one in mine]
        _line(axes, drawn, mine, values, color=THEIRS, linestyle="--", marker="s", label=label)
        label = "_"
    axes.set_ylim(bottom=0)
    axes.set_title("p99, ms", pad=26)
    _finish(axes, drawn)


def _labels(axes: "Axes", drawn: Drawn) -> None:
    found = [one for mine in _by_version(drawn, LABELS) for one in mine]
    if found:
        at = [drawn.middle(one) for one in found]
        colours = [MINE if one.state == "ok" else SOFT for one in found]
        shares = [100 * (one.value or 0.0) for one in found]
        axes.bar(at, shares, width=drawn.width * 0.82, color=colours)
        axes.axhline(100 * Bound.parse(found[-1].bound).limit, color=INK, linewidth=1, linestyle=":")
    axes.set_ylim(0, 102)
    axes.set_title("Labels that have come, %", pad=26)
    _finish(axes, drawn)


def _finish(axes: "Axes", drawn: Drawn) -> None:
    """Dates below, releases above, and what each line is."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    spans = [span_of(one.window, drawn.length) for one in drawn.signals]
    if spans:
        start, end = min(one.start for one in spans), max(one.end for one in spans)
        axes.set_xlim(day(start), day(end))
        _events(axes, [one for one in drawn.events if start <= one.at <= end])
    locator: Any = AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter: Any = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    if not axes.has_data():
        axes.text(0.5, 0.5, "nothing known yet", transform=axes.transAxes, ha="center", color=FAINT)
        axes.set_yticks([])
    handles, _ = axes.get_legend_handles_labels()
    if len(handles) > 1:
        # Above, where no line and no bar can be.
        above: Any = {"loc": "lower right", "bbox_to_anchor": (1.01, 1.07), "borderaxespad": 0.0}
        axes.legend(ncols=len(handles), fontsize=8, columnspacing=1.2, handlelength=1.8, **above)


def _events(axes: "Axes", events: Sequence[Happened]) -> None:
    for one in events:
        style = "-" if one.major else (0, (2, 2))
        axes.axvline(day(one.at), color=INK if one.major else FAINT, linewidth=1.1, linestyle=style)
        if one.major:
            label = one.said.replace("version ", "v").replace(" is champion", "")
            axes.annotate(
                label,
                (day(one.at), 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=INK,
            )


def _episodes(axes: "Axes", drawn: Drawn, cause: str) -> None:
    """Stretches that an episode lasted."""
    windows = [one.window for one in drawn.signals]
    for one in drawn.episodes:
        if one.cause != cause or not windows or (one.ended and one.ended < windows[0]):
            continue
        start = day(span_of(max(one.began, windows[0]), drawn.length).start)
        last = one.ended or max(
            (s.window for s in drawn.signals if s.version == one.version), default=windows[-1]
        )
        end = day(span_of(max(last, one.began), drawn.length).end)
        axes.axvspan(start, end, color=THEIRS, alpha=0.1, linewidth=0)


def _nothing(axes: "Axes") -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing known yet", ha="center", va="center", color=FAINT)


def _short(one: Signal) -> str:
    return one.window.removesuffix("T00:00").replace("T", " ")


_DESCRIBED = {
    "performance": "Labelled performance by window with its interval, its bound, and releases",
    "drift": "Drift of features and scores by window, as parts of what is tolerated",
    "effects": "Drift of each feature in the newest window",
    "scores": "Distribution of scores in the newest window and on the evaluation's holdout",
    "traffic": "Predicted rows by window and version",
    "latency": "Latency by window",
    "labels": "Share of labels that have come, by window",
}
PICTURES: Mapping[str, tuple[Callable[["Axes", Drawn], None], tuple[float, float]]] = {
    "performance": (_performance, _WIDE),
    "drift": (_drift, _WIDE),
    "effects": (_effects, _SMALL),
    "scores": (_scores, _SMALL),
    "traffic": (_traffic, _WIDE),
    "latency": (_latency, _SMALL),
    "labels": (_labels, _SMALL),
}
