"""What a declaration asks of a scored holdout beyond its metrics: fairness, slices, robustness."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.evaluation import fairness, robustness, slices
from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.fairness import FairnessEvidence, measure_fairness
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.evaluation.plans import FairnessPlan, RobustnessPlan, SlicePlan
from mlcicd_assets.ml.evaluation.robustness import RobustnessEvidence, measure_robustness
from mlcicd_assets.ml.evaluation.slices import Scored, SlicesEvidence, measure_slices
from mlcicd_assets.ml.evaluation.target import Target
from mlcicd_assets.ml.tasks import Task


@dataclass(frozen=True)
class Plans:
    """How a model is examined; `gates` are all that are declared, of which those on slices count here."""

    rule: ChampionRule
    gates: tuple[str, ...] = ()
    fairness: FairnessPlan = field(default_factory=FairnessPlan)
    slices: SlicePlan = field(default_factory=SlicePlan)
    robustness: RobustnessPlan = field(default_factory=RobustnessPlan)
    seed: int = 0

    @property
    def metric(self) -> str:
        """The one that models are compared on."""
        return self.rule.metric


class Examined(Evidence):
    """The three sections; None where nothing was measured."""

    fairness: FairnessEvidence | None = None
    slices: SlicesEvidence | None = None
    robustness: RobustnessEvidence | None = None

    def values(self) -> dict[str, float | None]:
        """Every gate that a section answers: name -> what it decides on."""
        return {
            **fairness.values(self.fairness),
            **slices.values(self.slices),
            **robustness.values(self.robustness),
        }


def examine_holdout(
    plans: Plans,
    scorer: Scorer,
    records: pl.DataFrame,
    mine: Scored,
    *,
    champion: Scored | None = None,
    protected: pl.DataFrame | None = None,
) -> Examined:
    """Measure all three; `records`, `mine`, `champion` and `protected` are of the same rows.

    Raises ValueError where a plan names columns that are not there.
    """
    better = metrics_of(mine.target.task)
    return Examined(
        fairness=_fairness(plans, mine, protected),
        slices=_slices(plans, scorer, records, mine, champion, protected, better),
        robustness=_robustness(plans, scorer, records, mine, better),
    )


def _fairness(plans: Plans, mine: Scored, protected: pl.DataFrame | None) -> FairnessEvidence | None:
    if protected is None:
        if plans.fairness.intersections:
            raise ValueError("fairness.intersections crosses protected columns; the dataset declares none")
        return None
    answers = mine.target.answers(mine.scores)
    return measure_fairness(mine.truth, answers, protected, task=mine.target.task, plan=plans.fairness)


def _slices(
    plans: Plans,
    scorer: Scorer,
    records: pl.DataFrame,
    mine: Scored,
    champion: Scored | None,
    protected: pl.DataFrame | None,
    better: Mapping[str, bool],
) -> SlicesEvidence:
    features = scorer.features(records)
    beside = features.select(name for name in features.columns if name not in records.columns)
    table = records.hstack(beside)
    inputs = [column.name for column in scorer.inputs]
    groups = protected.columns if protected is not None else []
    return measure_slices(
        mine,
        table,
        [name for name in dict.fromkeys([*inputs, *groups, *beside.columns]) if name in table.columns],
        metric=plans.metric,
        better=better,
        gates=plans.gates,
        champion=champion,
        plan=plans.slices,
    )


def _robustness(
    plans: Plans, scorer: Scorer, records: pl.DataFrame, mine: Scored, better: Mapping[str, bool]
) -> RobustnessEvidence:
    metric = plans.robustness.metric or plans.metric
    learned = Target.of(scorer.signature)

    def predict(frame: pl.DataFrame) -> np.ndarray:
        scores: np.ndarray = mine.target.scores(scorer.predict(frame), learned.classes)
        return scores

    return measure_robustness(
        predict,
        mine.target,
        records,
        mine.truth,
        scorer.inputs,
        metric=metric,
        more_is_better=better[metric],
        plan=plans.robustness,
        seed=plans.seed,
    )


def examined_gates(task: Task) -> dict[str, bool]:
    """The names that these sections answer: name -> whether more is better; those on slices are a family."""
    return {**fairness.fairness_gates(task), slices.WORST: False, **robustness.GATES}


def explanation(examined: Examined, gate: str) -> str:
    """What stands behind a gate's value, or why it has none."""
    if gate in robustness.GATES:
        return robustness.explain(examined.robustness, gate)
    if gate == slices.WORST or "[" in gate:
        return slices.explain(examined.slices, gate)
    return fairness.explain(examined.fairness, gate)
