"""Labelled performance of a window, with its interval: the only place where concept drift is seen.

Features and scores may look as always while what they mean has changed; labels alone tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.evaluation.significance import MetricEvidence, Significance, judge
from mlcicd_assets.ml.evaluation.slices import Scored
from mlcicd_assets.ml.evaluation.target import Target, TargetError
from mlcicd_assets.ml.monitoring.declaration import Monitor, PerformanceRule
from mlcicd_assets.ml.monitoring.late_labels import TRUTH, Labelled
from mlcicd_assets.ml.monitoring.signals import LABELS, PERFORMANCE, SHADOW, Signal, judged, unknown

# Beyond it an interval is narrow whatever is done: fewer resamples of it say the same.
_MANY, _FEW_RESAMPLES = 50_000, 200


@dataclass(frozen=True)
class Watched:
    """What is held against what, for one model."""

    target: Target
    rule: ChampionRule
    metric: str
    seed: int = 0

    @property
    def more_is_better(self) -> bool:
        """Whether the metric is one of which more is better."""
        return metrics_of(self.target.task)[self.metric]


def labels_signal(monitor: Monitor, signal: Signal, labelled: Labelled, *, open_: bool) -> Signal:
    """How many labels came; `open_` while the window may still wait for more."""
    share = labelled.share
    signal = replace(
        signal,
        name=LABELS,
        value=share,
        rows=labelled.rows,
        bound=f">= {monitor.labelled:g}",
        evidence={"labelled": labelled.frame.height},
    )
    if share is None:
        return unknown(signal, "nothing was predicted")
    if share >= monitor.labelled:
        return replace(signal, state="ok")
    said = f"{labelled.frame.height} of {labelled.rows} labels have come ({share:.0%})"
    if open_:
        return unknown(signal, f"{said}; waiting for {monitor.labelled:.0%}", waiting=True)
    return unknown(signal, f"{said}, and the patience of {monitor.patience} is over")


def performance(
    monitor: Monitor,
    rule: PerformanceRule,
    watched: Watched,
    signal: Signal,
    labelled: Labelled,
    labels: Signal,
    evaluated: float | None,
) -> Signal:
    """Hold the metric of the labelled rows against its bound.

    `labels` is the window's signal of that name: without enough labels nothing is judged, for those that came
    first are no sample of all. `evaluated` is the evaluation's own value of the metric.
    """
    rows = labelled.frame.height
    bound = rule.limit(evaluated, more_is_better=watched.more_is_better)
    signal = replace(
        signal,
        name=PERFORMANCE,
        rows=rows,
        reference=evaluated,
        bound=str(bound or ""),
        evidence={"metric": watched.metric, "share": labels.value},
    )
    if not labels.judged:
        return unknown(signal, labels.reason, waiting=labels.state == "waiting")
    if rows < monitor.minimum_labels:
        return unknown(signal, f"{rows} labelled rows; {monitor.minimum_labels} are needed")
    if bound is None:
        return unknown(signal, f"the evaluation has no value of {watched.metric}, and no bound is declared")
    try:
        found = measure(watched, labelled.frame)
    except TargetError as error:
        return unknown(signal, str(error))
    one = found.of(watched.metric)
    metrics = {each.metric: each.value for each in found.metrics if each.value is not None}
    signal = replace(signal, evidence={**signal.evidence, "metrics": metrics})
    if one is None or one.value is None:
        return unknown(
            signal, f"{watched.metric} is not defined here: {one.reason if one else ''}".rstrip(": ")
        )
    signal = replace(
        signal, value=one.value, low=one.low, high=one.high, reason=_told(one, bound_text=str(bound))
    )
    concluded = judged(signal, bound, decide_on=rule.decide_on)
    return replace(concluded, reason="") if concluded.state == "ok" else concluded


def _told(one: MetricEvidence, *, bound_text: str) -> str:
    interval = "" if one.low is None else f" ({one.low:.3f} to {one.high:.3f})"
    return f"{one.metric} {one.value:.3f}{interval} must be {bound_text}"


def measure(watched: Watched, rows: pl.DataFrame, theirs: pl.DataFrame | None = None) -> Significance:
    """Every metric of the labelled rows with its interval; with another version's rows also the gain on them.

    `rows` (and `theirs`, the same records in the same order) have TRUTH, and `score` or `probabilities`.
    Raises TargetError.
    """
    target = watched.target.among(rows[TRUTH])
    truth = target.truth(rows[TRUTH])
    mine = Scored(target, truth, scores_of(target, rows))
    rival = Scored(target, truth, scores_of(target, theirs)) if theirs is not None else None
    resamples = watched.rule.resamples if len(truth) <= _MANY else _FEW_RESAMPLES
    rule = watched.rule.model_copy(update={"resamples": resamples})
    return judge(
        mine,
        rival,
        metrics=target.measure(truth, mine.scores).metrics,
        champion=target.measure(truth, rival.scores).metrics if rival else {},
        rule=rule,
        seed=watched.seed,
    )


def scores_of(target: Target, rows: pl.DataFrame) -> np.ndarray:
    """Scores as `Target` takes them: [n], or [n, classes] of a model with many classes."""
    if target.task != "multiclass":
        return rows["score"].to_numpy()
    probabilities = np.array(rows["probabilities"].to_list(), dtype=np.float64)
    # Classes that only the labels have: no probability for them.
    missing = len(target.classes) - probabilities.shape[1]
    return np.pad(probabilities, ((0, 0), (0, missing))) if missing > 0 else probabilities


def against_champion(
    watched: Watched, signal: Signal, shadow: Labelled, champion: Labelled, keys: list[str], minimum: int
) -> Signal:
    """The shadow's metric minus the champion's on the same records, paired; only shown."""
    both = shadow.frame.join(
        champion.frame.drop(TRUTH), on=keys, how="inner", suffix="_champion", maintain_order="left"
    )
    signal = replace(signal, name=SHADOW, rows=both.height)
    if both.height < minimum:
        return unknown(signal, f"{both.height} labelled records that both answered; {minimum} are needed")
    theirs = both.select(
        TRUTH,
        **{name: pl.col(f"{name}_champion") for name in ("score", "probabilities") if name in both.columns},
    )
    try:
        one = measure(watched, both, theirs).of(watched.metric)
    except TargetError as error:
        return unknown(signal, str(error))
    if one is None or one.gain is None:
        return unknown(signal, one.reason if one else "not measured")
    facts: Mapping[str, Any] = {"metric": watched.metric, "shadow": one.value, "verdict": one.verdict}
    return replace(
        signal,
        state="ok",
        value=one.gain,
        low=one.gain_low,
        high=one.gain_high,
        reference=one.champion,
        evidence=facts,
    )
