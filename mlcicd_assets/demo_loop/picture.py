"""The picture of the play: labelled performance and feature drift by week, with what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.demo_loop.story import Kind, Mark
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT, PERFORMANCE, Signal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VERSIONS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b")
_MARKS: dict[Kind, str] = {
    "drift": "#d68910",
    "alarm": "#d68910",
    "training": "#138d90",
    "person": "#8e44ad",
    "release": "#1e8449",
    "poison": "#d68910",
    "blocked": "#c0392b",
}
_HALF = 3.5  # days
_TOP, _ROW, _ROWS = 1.52, 0.055, 9  # of the words above the curve


@dataclass(frozen=True)
class Point:
    """One window of one version."""

    at: float  # its middle, in days as matplotlib counts them
    signal: Signal

    @property
    def spread(self) -> tuple[float, float]:
        """How far the interval reaches below and above the value."""
        value = self.signal.value or 0.0
        low, high = self.signal.low, self.signal.high
        return (value - low if low is not None else 0.0, high - value if high is not None else 0.0)


def points(history: Sequence[Signal], name: str, until: datetime) -> list[Point]:
    """The windows of a signal that have a value, oldest first."""
    found = [
        Point(_days(datetime.fromisoformat(one.window)) + _HALF, one)
        for one in history
        if one.name == name and one.value is not None and datetime.fromisoformat(one.window) < until
    ]
    return sorted(found, key=lambda point: (point.at, point.signal.version))


def draw(
    history: Sequence[Signal], marks: Sequence[Mark], until: datetime, folder: Path, title: str
) -> list[Path]:
    """Write loop.png and loop.svg; returns them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    _performance(upper, points(history, PERFORMANCE, until))
    lower.xaxis_date()
    _drift(lower, points(history, FEATURE_DRIFT, until))
    upper.set_xlim(*_limits(history, marks, until))
    _events(upper, lower, marks)
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / "loop.png", folder / "loop.svg"]
    for path in made:
        figure.savefig(path, dpi=130)
    return made


def _performance(axes: "Axes", found: Sequence[Point]) -> None:
    for version in sorted({point.signal.version for point in found}):
        mine = [point for point in found if point.signal.version == version]
        colour = _VERSIONS[(version - 1) % len(_VERSIONS)]
        axes.errorbar(
            [point.at for point in mine],
            [point.signal.value or 0.0 for point in mine],
            yerr=[[point.spread[0] for point in mine], [point.spread[1] for point in mine]],
            fmt="o-",
            capsize=4,
            linewidth=2,
            color=colour,
            label=f"version {version}, 95 % interval",
        )
        _bound(axes, mine, colour)
    axes.set_ylabel("average precision\non labelled payments, by week")
    axes.set_ylim(0, _TOP)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.grid(axis="y", alpha=0.25)
    axes.legend(loc="lower left", frameon=False, fontsize=9)


def _bound(axes: "Axes", mine: Sequence[Point], colour: str) -> None:
    """What the version has to keep."""
    limits = [point.signal.bound.split()[-1] for point in mine if point.signal.bound]
    if limits:
        axes.hlines(
            float(limits[-1]),
            mine[0].at - _HALF,
            mine[-1].at + _HALF,
            colors=colour,
            linestyles="dotted",
            label=f"version {mine[0].signal.version} must keep {float(limits[-1]):.2f}",
        )


def _drift(axes: "Axes", found: Sequence[Point]) -> None:
    axes.bar(
        [point.at for point in found],
        [point.signal.value or 0.0 for point in found],
        width=4.5,
        color="#95a5a6",
    )
    axes.axhline(0.2, color="#c0392b", linestyle="dotted")
    axes.text(
        0.995, 0.84, "alarm above 0.2", transform=axes.transAxes, ha="right", fontsize=8, color="#c0392b"
    )
    axes.set_ylim(0, 0.25)
    axes.set_ylabel("largest PSI\nof any feature")
    axes.grid(axis="y", alpha=0.25)


def _events(upper: "Axes", lower: "Axes", marks: Sequence[Mark]) -> None:
    """A line for each day with events; what happened in the order of the play, above the curve."""
    days: dict[float, list[Mark]] = {}
    for mark in marks:
        days.setdefault(_days(datetime.combine(mark.day, datetime.min.time())), []).append(mark)
    middle, row = sum(upper.get_xlim()) / 2, 0
    for at, happened in sorted(days.items()):
        for axes in (upper, lower):
            axes.axvline(at, color=_MARKS.get(happened[0].kind, "#7f8c8d"), linewidth=1, alpha=0.6)
        # Neighbours begin on other rows, so that their words do not cover each other.
        row = 0 if row + len(happened) > _ROWS else row
        for mark in happened:
            upper.annotate(
                f" {mark.label} ",
                (at, _TOP - 0.01 - _ROW * row),
                color=_MARKS.get(mark.kind, "#7f8c8d"),
                fontsize=9,
                ha="left" if at < middle else "right",
                va="top",
            )
            row += 1


def _limits(history: Sequence[Signal], marks: Sequence[Mark], until: datetime) -> tuple[float, float]:
    """From the first to the last that is shown, and a little on both sides."""
    shown = [point.at for point in points(history, FEATURE_DRIFT, until)]
    shown += [_days(datetime.combine(mark.day, datetime.min.time())) for mark in marks]
    return min(shown, default=0.0) - 4, max(shown, default=1.0) + 4


def _days(moment: datetime) -> float:
    """As matplotlib counts: days since 1970."""
    return (moment - datetime(1970, 1, 1)) / timedelta(days=1)
