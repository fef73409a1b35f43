"""The estimator takes what the features give it, a new merchant category included."""

from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.defs.fraud_detector.model import estimator
from mlcicd_assets.ml.data.features import to_pandas

ROWS = 600


def payments() -> tuple[Any, np.ndarray]:
    """One payment in ten is a fraud, and frauds are dear."""
    rng = np.random.default_rng(0)
    fraud = (rng.random(ROWS) < 0.1).astype(int)
    amount = np.asarray(rng.lognormal(3 + 1.5 * fraud, 0.5), dtype=np.float32)
    frame = pl.DataFrame({"category": rng.choice(["food", "fuel"], ROWS), "amount": amount})
    return to_pandas(frame), fraud


def test_dear_payments_are_suspected() -> None:
    frame, fraud = payments()
    scores = estimator().fit(frame, fraud).predict_proba(frame)[:, 1]
    assert scores[fraud == 1].mean() > 2 * scores[fraud == 0].mean()


def test_a_category_that_was_never_seen_gets_a_score() -> None:
    frame, fraud = payments()
    unseen = frame.head(2).assign(category="zoo")
    assert np.isfinite(estimator().fit(frame, fraud).predict_proba(unseen)).all()
