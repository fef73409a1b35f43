"""What the columns of a table look like: one small picture, cheap enough for every materialization."""

import io
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mlcicd_assets.reports.figures import FAINT, INK, MINE, THEIRS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAXIMUM = 24  # columns that are drawn
_ACROSS = 6
_BINS = 24
_SAMPLED = 50_000
_WIDE, _HIGH = 1.25, 0.85  # inches of a column's drawing
_GAP = 0.16


def distributions_picture(frame: pl.DataFrame) -> bytes:
    """Histograms of numbers and times (their middle 99 %), the most frequent values of texts, as a PNG."""
    import matplotlib
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    every = max(1, frame.height // _SAMPLED)
    sample = frame.gather_every(every) if every > 1 else frame
    columns = sample.get_columns()[:MAXIMUM]
    down = -(-len(columns) // _ACROSS) or 1
    with matplotlib.rc_context({"font.family": "sans-serif", "font.size": 6.5}):
        figure = Figure(figsize=(_WIDE * _ACROSS, _HIGH * down), dpi=90)
        # One drawing area for all: each area of its own would take ten milliseconds.
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0, _ACROSS), ylim=(-down, 0))
        axes.set_axis_off()
        bars = [
            bar
            for index, column in enumerate(columns)
            for bar in _drawn(axes, column, index % _ACROSS, -(index // _ACROSS))
        ]
        axes.add_collection(PolyCollection(bars, facecolors=MINE, linewidths=0), autolim=False)
        written = io.BytesIO()
        figure.savefig(written, format="png", pil_kwargs={"optimize": True}, facecolor="white")
    return written.getvalue()


def _drawn(axes: "Axes", column: pl.Series, left: float, top: float) -> list[np.ndarray]:
    """Write what a column is, and return its bars as polygons."""
    heights, said = _shape(column)
    nulls = column.null_count() / max(len(column), 1)
    start, bottom = left + _GAP / 2, top - 0.84
    axes.text(start, top - 0.17, column.name[:20], color=INK, weight="bold", parse_math=False)
    axes.text(start, bottom - 0.12, said, color=FAINT, fontsize=5.5, parse_math=False)
    if nulls:
        share = f"{nulls:.0%} null" if nulls >= 0.005 else "<1% null"
        axes.text(left + 1 - _GAP / 2, top - 0.17, share, color=THEIRS, ha="right", fontsize=5.5)
    tallest = heights.max() if heights.size else 0.0
    if not tallest:
        return []
    width = (1 - _GAP) / heights.size
    return [
        _bar(start + index * width, bottom, width * 0.9, height / tallest * 0.55)
        for index, height in enumerate(heights)
        if height
    ]


def _bar(left: float, bottom: float, width: float, height: float) -> np.ndarray:
    right, top = left + width, bottom + max(height, 0.01)
    return np.array([(left, bottom), (left, top), (right, top), (right, bottom)])


def _shape(column: pl.Series) -> tuple[np.ndarray, str]:
    """Heights of the bars, and what stands below them."""
    known = column.drop_nulls()
    if known.is_empty():
        return np.array([]), "no value"
    dtype = column.dtype
    if dtype.is_numeric() or dtype.is_temporal():
        return _histogram(known)
    if dtype.is_nested() or dtype == pl.Binary:
        return np.array([]), str(dtype)[:24]
    counts = known.cast(pl.String).value_counts(sort=True)
    shown = counts.head(_BINS)
    more = f"{counts.height:,} values" if counts.height > 3 else ", ".join(shown.to_series(0))[:24]
    return shown["count"].to_numpy().astype(float), more


def _histogram(known: pl.Series) -> tuple[np.ndarray, str]:
    numbers = known.to_physical().cast(pl.Float64)
    numbers = numbers.filter(numbers.is_finite())
    if numbers.is_empty():
        return np.array([]), "no number"
    low, high = (float(numbers.quantile(share) or 0.0) for share in (0.005, 0.995))
    inside = numbers.filter(numbers.is_between(low, high)).to_numpy()
    # Relative to the span: instants in microseconds leave no room for bins of their own size.
    relative = (inside - low) / (high - low) if high > low else np.full(inside.shape, 0.5)
    heights, _ = np.histogram(relative, bins=_BINS, range=(0.0, 1.0))
    ends = [known.min(), known.max()]
    return heights.astype(float), " … ".join(_written(end) for end in ends)


def _written(value: object) -> str:
    if isinstance(value, bool | int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)[:10]
