"""The picture of a search: what each trial reached, and the best so far."""

import io
from typing import TYPE_CHECKING

from mlcicd_assets.reports.figures import FAINT, MINE, THEIRS

if TYPE_CHECKING:
    from mlcicd_assets.ml.training.tuning_record import TuningRecord


def history_png(tuning: "TuningRecord") -> bytes:
    """Trials by number with their validation score; pruned ones as crosses, failed ones at the bottom."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.0), layout="constrained")
    axes = figure.subplots()
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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


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
