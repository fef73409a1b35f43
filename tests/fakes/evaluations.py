"""Evaluations made of numbers, without training anything, for whoever decides on them or shows them."""

from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.curves import confusion, shapes
from mlcicd_assets.ml.evaluation.evaluate import ChampionResult, Evaluation, GroupResult, ParityResult
from mlcicd_assets.ml.evaluation.fairness import FairnessEvidence, measure_fairness
from mlcicd_assets.ml.evaluation.metrics import measure
from mlcicd_assets.ml.evaluation.plans import FairnessPlan
from mlcicd_assets.ml.evaluation.reproducibility import Repeated
from mlcicd_assets.ml.evaluation.serving_truths import ServingTruths, summarise_load
from mlcicd_assets.ml.evaluation.significance import Significance, judge
from mlcicd_assets.ml.evaluation.skew import Skew
from mlcicd_assets.ml.evaluation.slices import Scored
from mlcicd_assets.ml.evaluation.target import Target
from mlcicd_assets.ml.training.training_record import DataUsed, TrainingRecord

DIGEST = "ab" * 32
OTHER_DIGEST = "cd" * 32


def declaration(**changes: Any) -> ModelDeclaration:
    """A model whose gates the `evaluation` passes."""
    fields: dict[str, Any] = {
        "name": "shop_risk",
        "owner": "team:shops",
        "dataset": "sales",
        "estimator": "model.py:estimator",
        "train": "60d",
        "holdout": "14d",
        "gates": {"roc_auc": ">= 0.60", "log_loss": "<= 0.70"},
        "champion": {"metric": "roc_auc", "non_inferiority": 0.01},
    }
    return ModelDeclaration.model_validate({**fields, **changes})


def labels_and_scores(*, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, the same for every skill, and scores that separate them by `skill` standard deviations."""
    rng = np.random.default_rng(0)
    rows = 2_000
    labels = (rng.random(rows) < 0.3).astype(np.int64)
    scores = 1 / (1 + np.exp(1 - skill * (labels - 0.3) - rng.normal(size=rows)))
    return labels, scores


def record(**changes: Any) -> TrainingRecord:
    """What a training might have used."""
    fields: dict[str, Any] = {
        "model": "shop_risk",
        "digest": DIGEST,
        "as_of": datetime(2026, 4, 1),
        "train": (datetime(2026, 1, 17), datetime(2026, 3, 18)),
        "holdout": (datetime(2026, 3, 18), datetime(2026, 4, 1)),
        "train_rows": 9_000,
        "holdout_rows": 2_000,
        "excluded_rows": 25,
        "data": [DataUsed(table="sales/features", partition="2026-03", version=7, content="ef" * 32)],
        "features": ["amount", "shop"],
        "params": {"trees__max_iter": 80, "trees__max_depth": None},
        "seed": 0,
        "seconds": 1.5,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": False,
    }
    return TrainingRecord.model_validate({**fields, **changes})


def fairness(*, skill: float = 1.0, **plan: Any) -> FairnessEvidence:
    """What such a model does to young and old."""
    labels, scores = labels_and_scores(skill=skill)
    alarms = (scores >= 0.5).astype(np.int64)
    return measure_fairness(labels, alarms, _ages(len(labels)), plan=FairnessPlan(**plan))


def _ages(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"age": np.where(np.arange(rows) % 2 == 0, "young", "<old>")})


def evaluation(
    *, skill: float = 1.0, champion_skill: float | None = None, protected: bool = False, **changes: Any
) -> Evaluation:
    """An evaluation of a model of some skill, beside a champion of another where one is given."""
    labels, scores = labels_and_scores(skill=skill)
    measured = measure(labels, scores, 0.5, protected=_ages(len(labels)) if protected else None)
    fields: dict[str, Any] = {
        "model": "shop_risk",
        "digest": DIGEST,
        "threshold": 0.5,
        "rows": len(labels),
        "positives": int(labels.sum()),
        "metrics": measured.metrics,
        "confusion": confusion(labels, scores, 0.5),
        "shapes": shapes(labels, scores),
        "groups": [GroupResult(**vars(group)) for group in measured.groups],
        "parity": ParityResult(rows=len(labels), max_difference=2.1e-7, label_flips=0),
        "champion": None if champion_skill is None else champion(champion_skill),
        "training": record(),
        "significance": significance(skill, champion_skill),
        "serving": serving(),
        "reproducibility": repeated(),
    }
    return Evaluation.model_validate({**fields, **changes})


@cache
def significance(skill: float, champion_skill: float | None) -> Significance:
    """The intervals of the `evaluation` with these skills."""
    target, (labels, mine) = Target("binary"), labels_and_scores(skill=skill)
    theirs = None if champion_skill is None else labels_and_scores(skill=champion_skill)[1]
    return judge(
        Scored(target, labels, mine),
        None if theirs is None else Scored(target, labels, theirs),
        metrics=measure(labels, mine, 0.5).metrics,
        champion={} if theirs is None else measure(labels, theirs, 0.5).metrics,
        rule=ChampionRule(metric="roc_auc", non_inferiority=0.01, resamples=200),
        seed=0,
    )


def serving(**changes: Any) -> ServingTruths:
    """What a quick and truthful server showed."""
    fields: dict[str, Any] = {
        "cold_start_s": 1.5,
        "first_answer_ms": 4.0,
        "memory_mb": 210.0,
        "artifact_mb": 0.4,
        "load": summarise_load([2.0] * 490 + [9.0] * 10, [], seconds=0.5, concurrency=4),
        "skew": Skew(rows=200, max_difference=1.2e-7),
    }
    return ServingTruths.model_validate({**fields, **changes})


def repeated(**changes: Any) -> Repeated:
    """A training that gave the same package again."""
    fields: dict[str, Any] = {
        "digest": DIGEST,
        "again": DIGEST,
        "rows": 2_000,
        "trained_on": 9_000,
        "sampled": False,
        "difference": 0.0,
        "tolerance": 0.0,
    }
    return Repeated.model_validate({**fields, **changes})


def champion(skill: float, **changes: Any) -> ChampionResult:
    """A champion that was scored on the same labels."""
    labels, scores = labels_and_scores(skill=skill)
    fields: dict[str, Any] = {
        "version": 3,
        "digest": OTHER_DIGEST,
        "metrics": measure(labels, scores, 0.5).metrics,
        "shapes": shapes(labels, scores),
    }
    return ChampionResult.model_validate({**fields, **changes})
