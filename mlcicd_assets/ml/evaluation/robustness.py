"""Robustness: what a sample of the holdout's raw records loses when it is disturbed, through the package.

The features function is part of the test. Beside drops there are failures: a record on which the model
crashes or gives no number, a null that is accepted where the contract has none, a score that depends on the
row's place or its neighbours.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.evaluation.disturbances import CONFIDENCE, Disturbance, Laboratory, Predict, sample
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.perturbations import KINDS
from mlcicd_assets.ml.evaluation.plans import RobustnessPlan
from mlcicd_assets.ml.evaluation.slice_metrics import slice_metric
from mlcicd_assets.ml.evaluation.target import Target

FAILURES = "robustness_failures"
# name -> whether more is better
GATES: dict[str, bool] = {**{f"{kind}_drop": False for kind in KINDS}, "units_drop": False, FAILURES: False}


class RobustnessEvidence(Evidence):
    """All disturbances of one sample."""

    metric: str
    value: float | None  # on the undisturbed sample
    rows: int
    seed: int
    disturbances: list[Disturbance]

    @property
    def failures(self) -> list[Disturbance]:
        """Those on which the model failed."""
        return [one for one in self.disturbances if one.failure]


def measure_robustness(
    predict: Predict,
    target: Target,
    records: pl.DataFrame,
    truth: np.ndarray,
    inputs: Sequence[Column],
    *,
    metric: str,
    more_is_better: bool,
    plan: RobustnessPlan | None = None,
    seed: int = 0,
) -> RobustnessEvidence:
    """Disturb a seeded sample of the holdout's `records`; raises ValueError where the plan does not fit."""
    plan = plan or RobustnessPlan()
    _check_columns(plan, inputs)
    rows = sample(truth, plan.rows, seed, by_class=target.task != "regression")
    frame = records[rows].select(pl.col(one.name).cast(one.polars) for one in inputs)
    clean = predict(frame)
    lab = Laboratory(
        predict, target, frame, truth[rows], clean, list(inputs), metric, more_is_better, plan, seed
    )
    return RobustnessEvidence(
        metric=metric,
        value=slice_metric(target, truth[rows], clean, metric).value,
        rows=len(rows),
        seed=seed,
        disturbances=[*lab.kinds(), *lab.units(), *lab.order(), *lab.nulls()],
    )


def values(section: RobustnessEvidence | None) -> dict[str, float | None]:
    """What each gate decides on: the largest drop of a kind (None where it failed), and how many failed."""
    if section is None:
        return {}
    found: dict[str, float | None] = {FAILURES: float(len(section.failures))}
    for gate in GATES:
        if gate != FAILURES:
            about = _about(section, gate)
            drops = [one.drop for one in about if one.drop is not None]
            found[gate] = max(drops) if drops and len(drops) == len(about) else None
    return found


def explain(section: RobustnessEvidence | None, gate: str) -> str:
    """What fails and on which record, or how sure a drop is."""
    if section is None:
        return "robustness was not measured"
    if gate == FAILURES:
        return "; ".join(_failed(one) for one in section.failures) or f"{len(section.disturbances)} tried"
    about = _about(section, gate)
    broken = [_failed(one) if one.failure else one.note for one in about if one.drop is None]
    if broken or not about:
        return "; ".join(broken) or f"no input can be disturbed so; remove {gate} from gates"
    worst = max(about, key=lambda one: one.drop or 0.0)
    limits = "" if worst.low is None else f", {CONFIDENCE:.0%} interval {worst.low:.3g} to {worst.high:.3g}"
    return f"{section.metric} {section.value:.4g} becomes {worst.value:.4g} by {worst.what}{limits}"


def _about(section: RobustnessEvidence, gate: str) -> list[Disturbance]:
    return [one for one in section.disturbances if f"{one.name}_drop" == gate]


def _failed(one: Disturbance) -> str:
    record = ", ".join(f"{name}={value}" for name, value in one.example.items())
    return f"{one.name}: {one.failure}" + (f", for example on {record}" if record else "")


def _check_columns(plan: RobustnessPlan, inputs: Sequence[Column]) -> None:
    numbers = [one.name for one in inputs if one.polars.is_numeric()]
    wrong = [name for name in plan.units if name not in numbers]
    if wrong:
        raise ValueError(
            f"robustness.units names {', '.join(wrong)}, but the model's numeric inputs are "
            f"{', '.join(numbers) or 'none'}"
        )
    names = [one.name for one in inputs]
    unknown = [name for name in plan.fixed if name not in names]
    if unknown:
        raise ValueError(
            f"robustness.fixed names {', '.join(unknown)}, but the model's inputs are {', '.join(names)}"
        )
