"""The pictures of an evaluation: small, colour-blind safe, PNG for metadata and themed SVG for pages."""

import base64
import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlcicd_assets.ml.evaluation.curves import Confusion, Curve, Shapes
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette ("Color Universal Design", 2008), told apart by line style as well. In a page each
# becomes a CSS variable, so that one picture serves the light and the dark theme.
INK, FAINT, MINE, THEIRS, SOFT = "#23272f", "#9aa1ab", "#0072b2", "#d55e00", "#cfe3f1"
_VARIABLES = {INK: "ink", FAINT: "faint", MINE: "mine", THEIRS: "theirs", SOFT: "soft"}
_DESCRIBED = {
    "roc": "True-positive rate by false-positive rate",
    "precision_recall": "Precision by recall",
    "alerts": "Recall by the share of rows that is alerted on",
    "confusion": "Rows by truth and alarm",
    "calibration": "Observed share by predicted score, for tenths of the rows",
    "scores": "Distribution of scores of either class",
    "classes": "Share of each class's rows by answer",
    "predicted": "True values by predicted values",
    "errors": "Share of rows below an error",
}
_METRIC = {"roc": "roc_auc", "precision_recall": "average_precision", "calibration": "ece"}
_SIZE = (4.0, 3.2)
_MARGINS = {"left": 0.165, "right": 0.955, "bottom": 0.145, "top": 0.915}
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "mlcicd",
    # A class may be called anything: "$x$" is no formula.
    "text.parse_math": False,
}


def png(name: str, evaluation: Evaluation) -> bytes:
    """One of PICTURES on a white ground."""
    return _drawn(name, evaluation, "png")


def svg(name: str, evaluation: Evaluation) -> str:
    """One of PICTURES to stand in a page that defines --ink, --faint, --mine, --theirs and --soft."""
    return themed(name, _drawn(name, evaluation, "svg"), described(name, evaluation))


def themed(name: str, picture: bytes, label: str) -> str:
    """An SVG of ours as part of a page: its colours follow the theme, screen readers hear the label.

    `name` tells its parts apart from those of the page's other pictures.
    """
    text = picture.decode()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r'<g id="[\w.]+_\d+">', "<g>", text)
    text = re.sub(r'(id="|href="#|url\(#)(?=[a-z][0-9a-f]{10}\b)', rf"\1{name}-", text)
    # The page sets the size.
    opening = rf'<svg viewBox="\1" role="img" aria-label="{html.escape(label)}">'
    return re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', lambda found: found.expand(opening), text, count=1)


def described(name: str, evaluation: Evaluation) -> str:
    """What a picture shows, for those who cannot see it."""
    metric = _METRIC.get(name)
    if metric is None:
        return _DESCRIBED[name]
    mine = _named("challenger", evaluation.metrics.get(metric))
    champion = evaluation.champion
    theirs = [_named("champion", champion.metrics.get(metric))] if champion else []
    return f"{_DESCRIBED[name]}: {metric} {'; '.join([mine, *theirs])}"


def data_uri(picture: bytes) -> str:
    """A PNG as a `data:` address."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _drawn(name: str, evaluation: Evaluation, kind: str) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        # Fixed margins: measuring the text for a layout would double the time.
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots(gridspec_kw=_MARGINS)
        if name in pictures_of(evaluation.task) and _drawable(evaluation):
            PICTURES[name](axes, evaluation)
        else:
            _nothing(axes)
        return saved(figure, kind)


def _drawable(evaluation: Evaluation) -> bool:
    drawn = evaluation.shapes
    return bool(drawn.roc.x or drawn.calibration or drawn.predicted.x)


def saved(figure: "Figure", kind: str) -> bytes:
    """A figure as png or svg, the same bytes for the same drawing."""
    buffer = io.BytesIO()
    settled: dict[str, Any] = (
        {"metadata": {"Date": None}, "transparent": True} if kind == "svg" else {"dpi": 110}
    )
    figure.savefig(buffer, format=kind, **settled)
    return buffer.getvalue()


def _nothing(axes: "Axes") -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing to draw:\nthe scores define no curve", ha="center", va="center", color=FAINT)


def _pair(axes: "Axes", evaluation: Evaluation, curve: Callable[[Shapes], Curve], metric: str) -> None:
    mine = curve(evaluation.shapes)
    axes.plot(mine.x, mine.y, color=MINE, label=_named("challenger", evaluation.metrics.get(metric)))
    champion = evaluation.champion
    theirs = curve(champion.shapes) if champion else Curve()
    if champion and theirs.x:
        label = _named(f"champion v{champion.version}", champion.metrics.get(metric))
        axes.plot(theirs.x, theirs.y, color=THEIRS, linestyle="--", label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))


def _named(name: str, value: float | None) -> str:
    return name if value is None else f"{name}, {value:.3f}"


def _roc(axes: "Axes", evaluation: Evaluation) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="chance")
    _pair(axes, evaluation, lambda drawn: drawn.roc, "roc_auc")
    axes.set(title="ROC", xlabel="false-positive rate", ylabel="true-positive rate")
    axes.legend(loc="lower right")


def _precision_recall(axes: "Axes", evaluation: Evaluation) -> None:
    share = _positive_share(evaluation)
    axes.axhline(share, color=FAINT, linewidth=1, linestyle=":", label=f"chance, {share:.3f}")
    _pair(axes, evaluation, lambda drawn: drawn.precision_recall, "average_precision")
    axes.set(title="Precision and recall", xlabel="recall", ylabel="precision")
    # A good curve fills the upper right, a poor one the lower left.
    good = (evaluation.metrics.get("average_precision") or 0.0) > 0.6
    axes.legend(loc="lower left" if good else "upper right")


def _confusion(axes: "Axes", evaluation: Evaluation) -> None:
    counts = evaluation.confusion or Confusion(
        true_negatives=0, false_positives=0, false_negatives=0, true_positives=0
    )
    rows = [
        [counts.true_negatives, counts.false_positives],
        [counts.false_negatives, counts.true_positives],
    ]
    for down, row in enumerate(rows):
        total = max(sum(row), 1)
        for right, count in enumerate(row):
            _cell(axes, right, down, count, count / total, right=right == down)
    axes.set(title=f"Confusion at {evaluation.threshold or 0.5:g}", xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
    axes.set_xticks([0, 1], ["no alarm", "alarm"])
    axes.set_yticks([0, 1], ["negative", "positive"])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _positive_share(evaluation: Evaluation) -> float:
    return (evaluation.positives or 0) / evaluation.rows


def _classes(axes: "Axes", evaluation: Evaluation) -> None:
    """The confusion of many classes, by the share of the truth's rows."""
    names = [found.name for found in evaluation.classes]
    for down, row in enumerate(evaluation.matrix):
        for right, count in enumerate(row):
            _shade(axes, right, down, count / max(sum(row), 1), right=right == down)
    size = len(names)
    axes.set(
        title="Confusion", xlabel="answer", ylabel="truth", xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5)
    )
    axes.set_xticks(range(size), names, rotation=90 if max(map(len, names), default=0) > 3 else 0)
    axes.set_yticks(range(size), names)
    axes.tick_params(length=0)


def _shade(axes: "Axes", x: int, y: int, share: float, *, right: bool) -> None:
    from matplotlib.patches import Rectangle

    colour = MINE if right else THEIRS
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, alpha=0.75 * share**0.5))
    if share >= 0.005:
        axes.text(x, y, f"{share:.0%}", ha="center", va="center", fontsize=6)


def _predicted(axes: "Axes", evaluation: Evaluation) -> None:
    mine = evaluation.shapes.predicted
    ends = [min(*mine.x, *mine.y), max(*mine.x, *mine.y)]
    axes.plot(ends, ends, color=FAINT, linewidth=1, linestyle=":", label="right")
    axes.plot(mine.x, mine.y, "o", color=MINE, markersize=3, alpha=0.6, label="challenger")
    theirs = evaluation.champion.shapes.predicted if evaluation.champion else Curve()
    if theirs.x:
        axes.plot(theirs.x, theirs.y, "x", color=THEIRS, markersize=3, alpha=0.6, label="champion")
    axes.set(title="Predicted and true", xlabel="predicted", ylabel="true")
    axes.legend(loc="upper left")


def _errors(axes: "Axes", evaluation: Evaluation) -> None:
    mine = evaluation.shapes.errors
    axes.axvline(0, color=FAINT, linewidth=1, linestyle=":")
    axes.plot(mine.x, mine.y, color=MINE, label="challenger")
    theirs = evaluation.champion.shapes.errors if evaluation.champion else Curve()
    if theirs.x:
        axes.plot(theirs.x, theirs.y, color=THEIRS, linestyle="--", label="champion")
    axes.set(title="Errors", xlabel="predicted minus true", ylabel="share of rows below", ylim=(0, 1.02))
    axes.legend(loc="upper left")


def _cell(axes: "Axes", x: int, y: int, count: int, share: float, *, right: bool) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, facecolor=MINE if right else THEIRS, alpha=0.14)
    )
    axes.text(x, y - 0.06, f"{count:,}", ha="center", va="center", fontsize=13, fontweight="bold")
    axes.text(x, y + 0.2, f"{share:.1%} of the row", ha="center", va="center", fontsize=8)


def _calibration(axes: "Axes", evaluation: Evaluation) -> None:
    champion = evaluation.champion
    top = 0.05
    for drawn, colour, style, name in [
        (champion.shapes if champion else Shapes(), THEIRS, "s--", "champion"),
        (evaluation.shapes, MINE, "o-", "challenger"),
    ]:
        x, y = [b.predicted for b in drawn.calibration], [b.observed for b in drawn.calibration]
        if x:
            axes.plot(x, y, style, color=colour, markersize=4, label=name)
            top = max(top, *x, *y)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="perfect")
    axes.set(xlim=(0, top * 1.06), ylim=(0, top * 1.06))
    share = "share of positives" if evaluation.task == "binary" else "share of right answers"
    axes.set(title="Calibration", xlabel="mean score (tenths of the rows)", ylabel=share)
    axes.legend(loc="upper left")


def _scores(axes: "Axes", evaluation: Evaluation) -> None:
    drawn = evaluation.shapes.histogram
    for counts, colour, style, name in [
        (drawn.negatives, MINE, "-", "negative"),
        (drawn.positives, THEIRS, "--", "positive"),
    ]:
        shares = [count / max(sum(counts), 1) for count in counts]
        axes.stairs(shares, drawn.edges, color=colour, linestyle=style, linewidth=1.8, label=name)
        axes.stairs(shares, drawn.edges, color=colour, fill=True, alpha=0.12)
    axes.axvline(evaluation.threshold or 0.5, color=FAINT, linewidth=1, linestyle=":", label="threshold")
    axes.set(title="Scores", xlabel="score", ylabel="share of the class", xlim=(0, 1))
    axes.legend(loc="upper right")


def _alerts(axes: "Axes", evaluation: Evaluation) -> None:
    share = _positive_share(evaluation)

    def curve(drawn: Shapes) -> Curve:
        # Each point of the ROC curve alerts on a known share of the rows.
        alerted = [share * y + (1 - share) * x for x, y in zip(drawn.roc.x, drawn.roc.y, strict=True)]
        return Curve(x=alerted, y=drawn.roc.y)

    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="chance")
    _pair(axes, evaluation, curve, "recall_at_1pct_alerts")
    axes.set(title="Recall by alerts", xlabel="share of rows alerted", ylabel="recall", xlim=(0, 0.3))
    axes.legend(loc="best", title="recall at 1 % alerts", title_fontsize=8, alignment="left")


PICTURES: dict[str, Callable[["Axes", Evaluation], None]] = {
    "roc": _roc,
    "precision_recall": _precision_recall,
    "alerts": _alerts,
    "confusion": _confusion,
    "calibration": _calibration,
    "scores": _scores,
    "classes": _classes,
    "predicted": _predicted,
    "errors": _errors,
}
_OF_TASK: dict[Task, tuple[str, ...]] = {
    "binary": ("roc", "precision_recall", "alerts", "confusion", "calibration", "scores"),
    "multiclass": ("classes", "calibration"),
    "regression": ("predicted", "errors"),
}


def pictures_of(task: Task) -> tuple[str, ...]:
    """The PICTURES that a model of the task has."""
    return _OF_TASK[task]
