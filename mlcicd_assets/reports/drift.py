"""What people see of drift: a small picture beside the check, and Evidently's page behind it.

The verdict is made elsewhere (`ml.drift`); nothing here decides.
"""

import io
import os
from collections.abc import Sequence

import polars as pl

from mlcicd_assets.ml.data.drift import FeatureDrift
from mlcicd_assets.reports.figures import FAINT, INK, MINE, THEIRS, data_uri

PAGE_ROWS = 50_000  # of each side: Evidently's time grows with them
_SHOWN = 12


def drift_page(reference: pl.DataFrame, current: pl.DataFrame) -> str:
    """Evidently's drift page over columns that both frames have: one HTML file that opens offline.

    Both sides are thinned evenly to PAGE_ROWS. Takes several seconds.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")  # or Evidently reports its use to its makers
    from evidently import Report
    from evidently.presets import DataDriftPreset

    names = [name for name in reference.columns if name in current.columns and _drawable(reference[name])]
    sides = [_thinned(frame.select(names)).to_pandas() for frame in (current, reference)]
    snapshot = Report([DataDriftPreset()]).run(*sides)
    page: str = snapshot.get_html_str(as_iframe=False)
    return page


def _drawable(column: pl.Series) -> bool:
    """Evidently refuses a column without a single value."""
    return column.null_count() < len(column)


def _thinned(frame: pl.DataFrame) -> pl.DataFrame:
    step = -(-frame.height // PAGE_ROWS)
    thin = frame.gather_every(step) if step > 1 else frame
    booleans = [name for name, dtype in thin.schema.items() if dtype == pl.Boolean]
    return thin.with_columns(pl.col(booleans).cast(pl.String)) if booleans else thin


def drift_picture(features: Sequence[FeatureDrift]) -> str:
    """The largest effects as parts of what is tolerated, as an image in Markdown; empty without any."""
    from matplotlib.figure import Figure

    largest = sorted((f for f in features if f.effect), key=lambda f: -_part(f))[:_SHOWN]
    if not largest:
        return ""
    figure = Figure(figsize=(4.6, 0.5 + 0.24 * len(largest)))
    axes = figure.subplots(gridspec_kw={"left": 0.34, "right": 0.97, "top": 0.97, "bottom": 0.16})
    names = [f"{f.name} ({f.rule.metric})" for f in largest]
    colours = [THEIRS if f.outcome == "drifted" else MINE for f in largest]
    axes.barh(names, [min(_part(f), 3.0) for f in largest], color=colours, height=0.62)
    axes.axvline(1.0, color=INK, linewidth=1, linestyle=":")
    axes.invert_yaxis()
    axes.set_xlabel("effect / tolerated effect", fontsize=8)
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(FAINT)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return f"![effects]({data_uri(buffer.getvalue())})"


def _part(feature: FeatureDrift) -> float:
    return feature.size / feature.rule.bound.limit if feature.rule.bound.limit > 0 else feature.size
