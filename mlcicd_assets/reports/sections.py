"""The measured sections of an evaluation, put in order for a reader."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.fairness import Disparity, FairnessEvidence, GroupResult
from mlcicd_assets.ml.evaluation.gates import GateResult
from mlcicd_assets.ml.evaluation.robustness import RobustnessEvidence
from mlcicd_assets.ml.evaluation.slices import SliceResult
from mlcicd_assets.ml.training.cost import money
from mlcicd_assets.reports.whiskers import Scale

# In words, with the unit that a value is in.
SERVED = {
    "latency_p50_ms": "Latency, half of the answers within",
    "latency_p99_ms": "Latency, 99 of 100 within",
    "throughput_rps": "Throughput",
    "memory_mb": "Memory, the most that was resident",
    "cold_start_s": "Cold start, until ready and warm",
    "artifact_mb": "Size of the package",
    serving_truths.SKEW: "Training–serving skew, largest difference of a score",
}
UNITS = {"ms": "ms", "rps": "requests/s", "mb": "MB", "s": "s"}


@dataclass(frozen=True)
class Groups:
    """The groups of one protected column, what lies between them, and a scale for each rate."""

    column: str
    groups: list[GroupResult]
    rates: list[str]
    disparities: list[Disparity]
    scales: dict[str, Scale]


@dataclass(frozen=True)
class Measured:
    """One serving truth, with its gate where it has one."""

    what: str
    value: float | None
    unit: str
    bound: str
    passed: bool | None


def judged(evaluation: Evaluation) -> tuple[datetime, datetime]:
    """From when to when the rows are that it was judged on."""
    held = evaluation.holdout
    return (held.start, held.end) if held else evaluation.training.holdout


def priced(evaluation: Evaluation, about: ModelDeclaration) -> str:
    """What the training cost in money; empty without rates or a meter."""
    cost = evaluation.training.cost
    return f"{money(cost, about.rates):.4f} {about.rates.currency}" if cost and about.rates else ""


def groups_of(section: FairnessEvidence) -> list[Groups]:
    """One table for each protected column, or crossing of columns."""
    return [_groups(section, column) for column in dict.fromkeys(group.column for group in section.groups)]


def _groups(section: FairnessEvidence, column: str) -> Groups:
    groups = [group for group in section.groups if group.column == column]
    rates = list(dict.fromkeys(name for group in groups for name in group.rates))
    return Groups(
        column=column,
        groups=groups,
        rates=rates,
        disparities=[one for one in section.disparities if one.column == column],
        scales={name: _scale(groups, name) for name in rates},
    )


def _scale(groups: Sequence[GroupResult], rate: str) -> Scale:
    found = [group.rates[rate] for group in groups if rate in group.rates]
    return Scale(end for one in found for end in (one.low, one.value, one.high))


def slice_scale(slices: Sequence[SliceResult]) -> Scale:
    """For the loss above the rest."""
    return Scale([0.0, *(end for one in slices for end in (one.low, one.difference, one.high))])


def drop_scale(section: RobustnessEvidence) -> Scale:
    """For the drops of all disturbances."""
    return Scale([0.0, *(end for one in section.disturbances for end in (one.low, one.drop, one.high))])


def served(evaluation: Evaluation, gates: Sequence[GateResult]) -> list[Measured]:
    """Every serving truth, with its bound where one is declared."""
    values = serving_truths.values(evaluation.serving)
    judged = {gate.name: gate for gate in gates}
    return [_measured(name, what, values.get(name), judged.get(name)) for name, what in SERVED.items()]


def _measured(name: str, what: str, value: float | None, gate: GateResult | None) -> Measured:
    unit = UNITS.get(name.rpartition("_")[2], "")
    return Measured(what, value, unit, gate.bound if gate else "", gate.passed if gate else None)
