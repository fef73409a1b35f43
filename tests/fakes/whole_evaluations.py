"""Evaluations with every section, of every task, with names that a page must survive."""

from datetime import datetime
from typing import Any

from mlcicd_assets.ml.evaluation.classes import ClassResult
from mlcicd_assets.ml.evaluation.curves import CalibrationBin, Curve, Shapes
from mlcicd_assets.ml.evaluation.disturbances import Disturbance
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.judged_holdout import JudgedHoldout
from mlcicd_assets.ml.evaluation.robustness import RobustnessEvidence
from mlcicd_assets.ml.evaluation.slice_metrics import SliceMetric
from mlcicd_assets.ml.evaluation.slices import SliceResult, SlicesEvidence
from mlcicd_assets.ml.training.cost import TrainingCost
from mlcicd_assets.ml.training.environment import Environment
from mlcicd_assets.ml.training.training_record import DataUsed
from mlcicd_assets.ml.training.tuning_record import TrialRecord, TuningRecord
from tests.fakes.evaluations import champion, evaluation, fairness, record

HOSTILE = "<script>alert('x')</script>"


def slices() -> SlicesEvidence:
    """One worst slice under a hostile name, and a declared one that is small."""
    found = SliceResult(
        name=f"shop={HOSTILE}",
        rows=400,
        positives=90,
        loss=0.9,
        difference=0.3,
        low=0.2,
        high=0.4,
        effect=0.5,
        metric=SliceMetric(value=0.61, low=0.55, high=0.67),
        champion=SliceMetric(value=0.64, low=0.58, high=0.70),
    )
    small = found.model_copy(update={"name": "shop=kiosk", "rows": 12, "low": -0.1, "counted": False})
    return SlicesEvidence(
        metric="roc_auc",
        minimum=100,
        confidence=0.95,
        tested=120,
        searched=["shop", "amount"],
        found=[found],
        declared=[small],
        problems=["size=9: there is no column 'size'"],
    )


def robustness() -> RobustnessEvidence:
    """A drop, and a failure on a hostile record."""
    return RobustnessEvidence(
        metric="roc_auc",
        value=0.75,
        rows=1_000,
        seed=0,
        disturbances=[
            Disturbance(
                name="noise",
                what="noise of 0.1",
                columns=["amount"],
                value=0.7,
                drop=0.05,
                low=0.02,
                high=0.08,
            ),
            Disturbance(
                name="unseen", what="values never seen", failure="it crashed", example={"shop": HOSTILE}
            ),
            Disturbance(name="null", what="amount is null", note="refused: amount must not be null"),
        ],
    )


def tuning() -> TuningRecord:
    """Three trials: one chosen, one pruned, one failed."""
    return TuningRecord(
        study="shop_risk",
        metric="roc_auc",
        more_is_better=True,
        best=0,
        ended="trials",
        trials=[
            TrialRecord(number=0, state="complete", value=0.74, params={"max_iter": 80}),
            TrialRecord(number=1, state="pruned", value=0.60, params={"max_iter": 5}),
            TrialRecord(
                number=2, state="failed", value=None, params={"max_iter": 900}, error="out of memory"
            ),
        ],
    )


def environment(**changes: Any) -> Environment:
    """A machine."""
    fields: dict[str, Any] = {
        "python": "3.11.9",
        "platform": "Linux-6.1-x86_64",
        "cpu": "Some CPU",
        "cores": 2,
        "blas": ["openblas 0.3.30 (Haswell)"],
        "lock": "12" * 32,
        "packages": {"numpy": "2.0.0"},
    }
    return Environment.model_validate({**fields, **changes})


def whole(**changes: Any) -> Evaluation:
    """A binary model with every section, beside a champion that was trained on other things."""
    theirs = record(
        digest="cd" * 32,
        params={"trees__max_iter": 40, "trees__max_depth": None},
        features=["amount", "hour"],
        train_rows=8_000,
        data=[DataUsed(table="sales/features", partition="2026-02", version=6, content="aa" * 32)],
        environment=environment(python="3.11.8"),
    )
    mine = record(
        environment=environment(),
        tuning=tuning(),
        cost=TrainingCost(wall_seconds=4.0, cpu_seconds=7.2, gpu_seconds=0.0, peak_memory_mb=512.0),
    )
    fields: dict[str, Any] = {
        "protected": True,
        "champion": champion(0.9, training=theirs),
        "champion_skill": 0.9,
        "training": mine,
        "fairness": fairness(minimum=30),
        "slices": slices(),
        "robustness": robustness(),
        "holdout": JudgedHoldout(
            start=datetime(2026, 3, 20),
            end=datetime(2026, 4, 3),
            rows=2_000,
            excluded=17,
            known_at=datetime(2026, 4, 5),
            data=[DataUsed(table="sales/features", partition="2026-04", version=9, content="bb" * 32)],
            note="the champion has learned from rows until 2026-03-20 00:00: left out for both",
        ),
    }
    return evaluation(**{**fields, **changes})


def multiclass() -> Evaluation:
    """Three classes, one with a hostile name and one that training never had."""
    return _other(
        task="multiclass",
        metrics={"accuracy": 0.8, "log_loss": 0.5},
        classes=[
            ClassResult(name="van", rows=600, answered=590, recall=0.9, precision=0.91),
            ClassResult(name=HOSTILE, rows=400, answered=410, recall=0.8, precision=0.79),
            ClassResult(name="$bike$", rows=10, answered=0, recall=0.0, precision=None, learned=False),
        ],
        matrix=[[540, 60, 0], [50, 350, 0], [0, 10, 0]],
        shapes=Shapes(calibration=[CalibrationBin(predicted=0.5, observed=0.6, rows=100)]),
    )


def regression() -> Evaluation:
    """Hours, predicted."""
    return _other(
        task="regression",
        metrics={"rmse": 1.7, "mae": 1.1, "r2": None},
        shapes=Shapes(predicted=Curve(x=[1.0, 2.0], y=[1.5, 1.8]), errors=Curve(x=[-1.0, 1.0], y=[0.0, 1.0])),
    )


def _other(**fields: Any) -> Evaluation:
    plain: dict[str, Any] = {"positives": None, "threshold": None, "confusion": None, "significance": None}
    return evaluation(**{**plain, **fields})
