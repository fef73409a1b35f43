"""Fairness on the holdout: what differs between the groups of each protected column, and how sure that is.

The measures are Fairlearn's: demographic parity compares selection rates, equal opportunity true-positive
rates, equalised odds true- and false-positive rates (Hardt et al., "Equality of Opportunity in Supervised
Learning", 2016); each as a gap (highest minus lowest) and as a ratio (lowest over highest), over groups with
enough rows. Intervals as in `proportions`, simultaneous over all pairs of a column's groups.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl

from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.group_rates import MISSING, SHARE_OF, Group, measure_groups
from mlcicd_assets.ml.evaluation.plans import FairnessPlan
from mlcicd_assets.ml.evaluation.proportions import (
    Interval,
    critical,
    largest_difference,
    smallest_ratio,
)
from mlcicd_assets.ml.tasks import Task

# measure -> the rates it compares, by task
_COMPARED: Mapping[Task, Mapping[str, tuple[str, ...]]] = {
    "binary": {
        "demographic_parity": ("selection_rate",),
        "equal_opportunity": ("true_positive_rate",),
        "equalised_odds": ("true_positive_rate", "false_positive_rate"),
        "group_accuracy": ("accuracy",),
    },
    "multiclass": {"group_accuracy": ("accuracy",)},
    "regression": {"group_error": ("error",)},
}
_UNDEFINED: Mapping[Task, str] = {
    "binary": "",
    "multiclass": "demographic parity, equal opportunity and equalised odds ask for one positive class",
    "regression": "demographic parity, equal opportunity and equalised odds ask for a yes or no",
}


def fairness_gates(task: Task) -> dict[str, bool]:
    """The gates that fairness answers for a task: name -> whether more is better."""
    return {f"{measure}_{kind}": kind == "ratio" for measure in _COMPARED[task] for kind in ("gap", "ratio")}


class Rate(Evidence):
    """A share of `of` rows, or a root mean squared error of so many, with its interval."""

    value: float
    low: float
    high: float
    of: int
    counted: bool  # whether that is enough for a gate


class GroupResult(Evidence):
    """One group of a protected column, or of crossed ones (`age_group & gender`)."""

    column: str
    value: str
    rows: int
    positives: int
    rates: dict[str, Rate]


class Disparity(Evidence):
    """What lies between the groups of one column; without a value, `missing` says which evidence is."""

    gate: str
    column: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    lowest: str = ""  # the group with the lowest rate
    highest: str = ""
    uncounted: list[str] = []  # groups that are too small
    missing: str = ""


class FairnessEvidence(Evidence):
    """Groups and disparities of one model on the holdout."""

    task: Task
    minimum: int
    confidence: float
    decide_on: Literal["estimate", "upper"]
    groups: list[GroupResult]
    disparities: list[Disparity]
    undefined: str = ""  # the measures that the task does not have, and why


def measure_fairness(
    truth: np.ndarray,
    answers: np.ndarray,
    protected: pl.DataFrame,
    *,
    task: Task = "binary",
    plan: FairnessPlan | None = None,
) -> FairnessEvidence:
    """Compare the groups of each column of `protected`, and of declared intersections; null is a group too.

    `truth` and `answers` belong to the same rows: 0 and 1 for binary, the index of the class for multiclass,
    numbers for regression. Raises ValueError where an intersection names a column that is not protected.
    """
    plan = plan or FairnessPlan()
    columns = {column.name: column for column in _columns(protected, plan)}
    measured = {name: measure_groups(truth, answers, column, task) for name, column in columns.items()}
    return FairnessEvidence(
        task=task,
        minimum=plan.minimum,
        confidence=plan.confidence,
        decide_on=plan.decide_on,
        groups=[_result(name, group, plan) for name, groups in measured.items() for group in groups],
        disparities=[
            _disparity(gate, name, groups, _COMPARED[task][gate.rpartition("_")[0]], plan)
            for name, groups in measured.items()
            for gate in fairness_gates(task)
        ],
        undefined=_UNDEFINED[task],
    )


def values(section: FairnessEvidence | None) -> dict[str, float | None]:
    """What each gate decides on: the worst column's estimate, or the unfavourable end of its interval.

    None where one column lacks the evidence: a gap that was not measured must not pass a gate.
    """
    if section is None:
        return {}
    return {gate: _decided(section, gate) for gate in fairness_gates(section.task)}


def explain(section: FairnessEvidence | None, gate: str) -> str:
    """Between whom a disparity is, and how sure; or which evidence is missing."""
    about = [one for one in section.disparities if one.gate == gate] if section else []
    if section is None or not about:
        return "there are no protected columns; declare 'protected' in the dataset"
    missing = [f"{one.column}: {one.missing}" for one in about if one.value is None]
    worst = _worst(section, gate)
    if missing or worst is None or worst.value is None or worst.low is None or worst.high is None:
        return "; ".join(missing)
    small = [f"{one.column}={name}" for one in about for name in one.uncounted]
    return (
        f"{worst.column}: lowest {worst.lowest}, highest {worst.highest}; {worst.value:.3g} with "
        f"{section.confidence:.0%} interval {worst.low:.3g} to {worst.high:.3g}"
        + (f"; too small to count: {', '.join(dict.fromkeys(small))}" if small else "")
    )


def _decided(section: FairnessEvidence, gate: str) -> float | None:
    if any(one.value is None for one in section.disparities if one.gate == gate):
        return None
    worst = _worst(section, gate)
    return None if worst is None else _deciding(section, worst)


def _worst(section: FairnessEvidence, gate: str) -> Disparity | None:
    decided = [
        (value, one)
        for one in section.disparities
        if one.gate == gate and (value := _deciding(section, one)) is not None
    ]
    pick = min if gate.endswith("_ratio") else max
    return pick(decided, key=lambda pair: pair[0])[1] if decided else None


def _deciding(section: FairnessEvidence, one: Disparity) -> float | None:
    if section.decide_on == "estimate":
        return one.value
    return one.low if one.gate.endswith("_ratio") else one.high


def _columns(protected: pl.DataFrame, plan: FairnessPlan) -> list[pl.Series]:
    unknown = sorted({name for crossed in plan.intersections for name in crossed} - set(protected.columns))
    if unknown:
        raise ValueError(
            f"fairness.intersections names {', '.join(unknown)}, but the dataset's protected columns are "
            f"{', '.join(protected.columns) or 'none'}; add it there"
        )
    texts = protected.select(pl.all().cast(pl.String).fill_null(MISSING))
    crossed = [
        texts.select(pl.concat_str(names, separator=" & ").alias(" & ".join(names))).to_series()
        for names in plan.intersections
    ]
    return [*texts.get_columns(), *crossed]


def _result(column: str, group: Group, plan: FairnessPlan) -> GroupResult:
    rates = {}
    for name, rate in group.rates.items():
        found = rate.interval(critical(plan.confidence))
        rates[name] = Rate(
            value=found.value,
            low=found.low,
            high=found.high,
            of=rate.of,
            counted=group.enough(name, plan.minimum),
        )
    return GroupResult(
        column=column, value=group.value, rows=group.rows, positives=group.positives, rates=rates
    )


def _disparity(
    gate: str, column: str, groups: Sequence[Group], rates: tuple[str, ...], plan: FairnessPlan
) -> Disparity:
    counted = [group for group in groups if all(group.enough(rate, plan.minimum) for rate in rates)]
    uncounted = [group.value for group in groups if group not in counted]
    if len(counted) < 2:
        lacking = _lacking(groups, rates, plan.minimum)
        return Disparity(gate=gate, column=column, uncounted=uncounted, missing=lacking)
    z = critical(plan.confidence, math.comb(len(counted), 2) * len(rates))
    between = {rate: _between(gate, [group.rates[rate].interval(z) for group in counted]) for rate in rates}
    known = {rate: found for rate, found in between.items() if found is not None}
    if len(known) < len(rates):
        none = ", ".join(rate.replace("_", " ") for rate in rates if rate not in known)
        return Disparity(
            gate=gate, column=column, uncounted=uncounted, missing=f"the {none} of every group is 0"
        )
    # The worst of its rates decides, as Fairlearn's `worst_case`.
    pick = min if gate.endswith("_ratio") else max
    decisive = pick(known, key=lambda rate: known[rate].value)
    ordered = sorted(counted, key=lambda group: group.rates[decisive].value)
    return Disparity(
        gate=gate,
        column=column,
        value=known[decisive].value,
        low=pick(found.low for found in known.values()),
        high=pick(found.high for found in known.values()),
        lowest=_said(ordered[0], decisive),
        highest=_said(ordered[-1], decisive),
        uncounted=uncounted,
    )


def _between(gate: str, rates: Sequence[Interval]) -> Interval | None:
    return smallest_ratio(rates) if gate.endswith("_ratio") else largest_difference(rates)


def _said(group: Group, rate: str) -> str:
    found = group.rates[rate]
    return f"{group.value} ({rate.replace('_', ' ')} {found.value:.3g} of {found.of} {SHARE_OF[rate]})"


def _lacking(groups: Sequence[Group], rates: tuple[str, ...], minimum: int) -> str:
    wanted = " and ".join(dict.fromkeys(f"{minimum} {SHARE_OF[rate]}" for rate in rates))
    there = [f"{group.value}: {' and '.join(str(group.of(rate)) for rate in rates)}" for group in groups]
    return (
        f"two groups need {wanted} (there are {', '.join(there) or 'no groups'}); declare a longer holdout, "
        "or a smaller fairness.minimum"
    )
