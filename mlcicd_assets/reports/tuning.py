"""The picture of a search: what each trial reached, and the best so far."""

from typing import TYPE_CHECKING

from mlcicd_assets.reports.figures import FAINT, MINE, STYLE, THEIRS, saved, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlcicd_assets.ml.training.tuning_record import TuningRecord


def history_png(tuning: "TuningRecord") -> bytes:
    """Trials by number with their validation score; pruned ones as crosses, failed ones at the bottom."""
    return _drawn(tuning, "png")


def history_svg(tuning: "TuningRecord") -> str:
    """The same picture to stand in a page with a theme."""
    label = f"{tuning.metric} in validation of each of {len(tuning.trials)} trials, and the best so far"
    return themed("tuning", _drawn(tuning, "svg"), label)


def _drawn(tuning: "TuningRecord", kind: str) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.0, 3.0), layout="constrained")
        _draw(figure.subplots(), tuning)
        return saved(figure, kind)


def _draw(axes: "Axes", tuning: "TuningRecord") -> None:
    for state, mark, colour in (("complete", "o", MINE), ("pruned", "x", FAINT)):
        some = [
            (trial.number, trial.value)
            for trial in tuning.trials
            if trial.state == state and trial.value is not None
        ]
        if some:
            axes.scatter(
                [number for number, _ in some],
                [value for _, value in some],
                marker=mark,
                color=colour,
                s=22,
                label=state,
            )
    failed = [trial.number for trial in tuning.trials if trial.state == "failed"]
    if failed:
        axes.plot(
            failed,
            [0.02] * len(failed),
            "|",
            color=THEIRS,
            transform=axes.get_xaxis_transform(),
            label="failed",
        )
    numbers, best = best_so_far(tuning)
    axes.step(numbers, best, where="post", color=THEIRS, linewidth=1.4, label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(tuning.metric)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def best_so_far(tuning: "TuningRecord") -> tuple[list[int], list[float]]:
    """The numbers of the complete trials, and the best score up to each."""
    better = max if tuning.more_is_better else min
    numbers: list[int] = []
    best: list[float] = []
    for trial in tuning.trials:
        if trial.state == "complete" and trial.value is not None:
            numbers.append(trial.number)
            best.append(better([*best[-1:], trial.value]))
    return numbers, best
