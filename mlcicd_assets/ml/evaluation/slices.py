"""Slices of the holdout: declared ones and the worst found, each beside the rest and the champion."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.plans import SlicePlan
from mlcicd_assets.ml.evaluation.proportions import critical
from mlcicd_assets.ml.evaluation.slice_conditions import (
    Condition,
    Slice,
    SliceError,
    SliceGate,
    slice_gates,
)
from mlcicd_assets.ml.evaluation.slice_metrics import SliceMetric, row_losses, slice_metric
from mlcicd_assets.ml.evaluation.slice_search import find_slices
from mlcicd_assets.ml.evaluation.target import Target

# The effect size of the worst slice found; 0 where none was.
WORST = "worst_slice_effect"
# More values of a declared column make no page that anybody reads.
MAX_FAMILY = 100
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Scored:
    """One model's scores of the holdout, and what they are held against."""

    target: Target
    truth: np.ndarray
    scores: np.ndarray

    def on(self, inside: np.ndarray, metric: str) -> SliceMetric:
        """A metric on some of the rows."""
        return slice_metric(self.target, self.truth[inside], self.scores[inside], metric)


class SliceResult(Evidence):
    """One slice: its loss beside that of the other rows, its metrics, and the champion's on the same rows."""

    name: str
    rows: int
    positives: int | None = None  # of a binary model
    loss: float | None = None  # mean log loss, or mean squared error
    difference: float | None = None  # to the mean of the other rows: above 0 is worse
    low: float | None = None
    high: float | None = None
    effect: float | None = None  # the difference in standard deviations of the loss
    metric: SliceMetric = SliceMetric()
    champion: SliceMetric | None = None
    counted: bool = True  # whether it has rows enough for a gate


class SliceValue(Evidence):
    """What a gate on a slice decides on; without a value, `missing` says why."""

    slice: str = ""  # the one that decides, where a gate names a column
    rows: int = 0
    metric: SliceMetric = SliceMetric()
    champion: SliceMetric | None = None
    missing: str = ""


class SlicesEvidence(Evidence):
    """The slices of one model on the holdout, worst first."""

    metric: str  # what champion and challenger are compared by
    minimum: int
    confidence: float
    tested: int  # slices looked at
    searched: list[str]  # columns
    found: list[SliceResult]
    declared: list[SliceResult]
    problems: list[str] = []  # declared slices that could not be taken
    gates: dict[str, SliceValue] = {}


def measure_slices(
    mine: Scored,
    table: pl.DataFrame,
    searched: Sequence[str],
    *,
    metric: str,
    better: Mapping[str, bool],
    gates: Sequence[str] = (),
    champion: Scored | None = None,
    plan: SlicePlan | None = None,
) -> SlicesEvidence:
    """Search some columns of `table`, and take the declared slices and those of `gates` from all of it.

    Rows are the holdout's, in the same order everywhere. `metric` is shown of every slice; `better` are the
    task's metrics (name -> whether more is better).
    """
    plan = plan or SlicePlan()
    losses = row_losses(mine.target, mine.truth, mine.scores)
    search = find_slices(table.select(searched), losses, plan)
    holdout = _Holdout(mine, champion, table, losses, metric, plan)
    declared, problems = holdout.declared()
    return SlicesEvidence(
        metric=metric,
        minimum=plan.minimum,
        confidence=CONFIDENCE,
        tested=search.tested,
        searched=list(searched),
        found=[holdout.result(found.slice) for found in search.found],
        declared=declared,
        problems=problems,
        gates={name: holdout.gate(gate, better) for name, gate in slice_gates(gates).items()},
    )


def values(section: SlicesEvidence | None) -> dict[str, float | None]:
    """What each gate on slices decides on."""
    if section is None:
        return {}
    worst = max((one.effect or 0.0 for one in section.found), default=0.0)
    # Nothing searched is no proof that nothing is there.
    found = {WORST: worst if section.tested else None}
    return {**found, **{name: gate.metric.value for name, gate in section.gates.items()}}


def explain(section: SlicesEvidence | None, gate: str) -> str:
    """Which slice decides, or why nothing can be decided."""
    if section is None:
        return "slices were not measured"
    if gate == WORST:
        worst = section.found[:1]
        looked = f"{section.tested} slices of {section.minimum} rows or more were looked at"
        return f"{worst[0].name} ({worst[0].rows} rows); {looked}" if worst else looked
    value = section.gates.get(gate)
    if value is None:
        return "it was not measured; materialize the evaluation again"
    if value.missing:
        return value.missing
    theirs = value.champion.value if value.champion else None
    beside = "" if theirs is None else f"; the champion has {theirs:.4g}"
    return f"{value.slice}, {value.rows} rows{_limits(value.metric)}{beside}"


def _limits(metric: SliceMetric) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f", {CONFIDENCE:.0%} interval {metric.low:.3g} to {metric.high:.3g}"


@dataclass(frozen=True)
class _Holdout:
    """What slice after slice is taken from."""

    mine: Scored
    champion: Scored | None
    table: pl.DataFrame
    losses: np.ndarray
    metric: str
    plan: SlicePlan

    def declared(self) -> tuple[list[SliceResult], list[str]]:
        """The declared slices, worst first, and what is wrong with those that cannot be taken."""
        results: list[SliceResult] = []
        problems: list[str] = []
        for text in self.plan.of:
            try:
                results += [self.result(one) for one in self.expanded(Slice.parse(text))]
            except SliceError as error:
                problems.append(f"{text}: {error}")
        return sorted(results, key=lambda one: -math.inf if one.effect is None else -one.effect), problems

    def expanded(self, asked: Slice) -> list[Slice]:
        """One slice for each value of a column, or the slice itself; raises SliceError."""
        if not asked.column:
            return [asked]
        if asked.column not in self.table.columns:
            raise SliceError(
                f"there is no column {asked.column!r}; there are: {', '.join(self.table.columns)}"
            )
        column = self.table[asked.column]
        known = column.drop_nulls().drop_nans() if column.dtype.is_float() else column.drop_nulls()
        names: list[str | None] = known.unique().sort().cast(pl.String).to_list()
        if len(names) > MAX_FAMILY:
            raise SliceError(
                f"{asked.column} has {len(names)} values, more than {MAX_FAMILY}; "
                f"name one ('{asked.column}={names[0]}') or a range ('{asked.column}>=…')"
            )
        names += [None] if len(known) < len(column) else []
        return [Slice((Condition(asked.column, "=", name),)) for name in names]

    def result(self, one: Slice) -> SliceResult:
        """A slice beside the rest; raises SliceError."""
        inside = one.rows(self.table).to_numpy()
        rows = int(inside.sum())
        return SliceResult(
            name=str(one),
            rows=rows,
            positives=int(self.mine.truth[inside].sum()) if self.mine.target.task == "binary" else None,
            **_against_rest(self.losses[inside], self.losses[~inside]),
            metric=self.mine.on(inside, self.metric),
            champion=self.champion.on(inside, self.metric) if self.champion else None,
            counted=rows >= self.plan.minimum,
        )

    def gate(self, gate: SliceGate, better: Mapping[str, bool]) -> SliceValue:
        """The metric on the slice, or on the worst value of the column."""
        try:
            slices = [(one, one.rows(self.table).to_numpy()) for one in self.expanded(gate.slice)]
        except SliceError as error:
            return SliceValue(missing=str(error))
        counted = [(one, inside) for one, inside in slices if int(inside.sum()) >= self.plan.minimum]
        if not counted:
            most = max((int(inside.sum()) for _, inside in slices), default=0)
            return SliceValue(missing=self._few(gate, most))
        measured = [(one, int(inside.sum()), self.mine.on(inside, gate.metric)) for one, inside in counted]
        undefined = [f"{one} ({rows} rows)" for one, rows, found in measured if found.value is None]
        if undefined:
            return SliceValue(missing=f"{gate.metric} is not defined on {', '.join(undefined)}")
        pick = min if better[gate.metric] else max
        one, rows, found = pick(measured, key=lambda known: known[2].value or 0.0)
        theirs = self.champion.on(one.rows(self.table).to_numpy(), gate.metric) if self.champion else None
        return SliceValue(slice=str(one), rows=rows, metric=found, champion=theirs)

    def _few(self, gate: SliceGate, rows: int) -> str:
        which = f"the largest value of {gate.slice}" if gate.slice.column else f"{gate.slice}"
        return (
            f"{which} has {rows} rows in this holdout and {self.plan.minimum} are needed; "
            "declare a longer holdout, or a smaller slices.minimum"
        )


def _against_rest(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    """Loss, its difference to the rest with Welch's interval, and the effect size."""
    if len(inside) < 2 or len(outside) < 2:
        return {"loss": float(inside.mean())} if len(inside) else {}
    # Sorted, so that the order of rows does not show in the last digit.
    one, other = np.sort(inside), np.sort(outside)
    difference = float(one.mean() - other.mean())
    variances = float(one.var(ddof=1)), float(other.var(ddof=1))
    half = critical(CONFIDENCE) * math.sqrt(variances[0] / len(one) + variances[1] / len(other))
    spread = math.sqrt(sum(variances) / 2)
    return {
        "loss": float(one.mean()),
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "effect": difference / spread if spread else 0.0,
    }
