"""The estimator takes what the features give it: unknown airports and missing weather included."""

from typing import Any

import numpy as np
import polars as pl

from mlcicd_assets.defs.flight_delay.model import estimator
from mlcicd_assets.ml.data.features import to_pandas

ROWS = 400


def flights(seed: int = 0) -> tuple[Any, np.ndarray]:
    """Evening flights are late more often; some weather is missing."""
    rng = np.random.default_rng(seed)
    hour = rng.uniform(5, 23, ROWS)
    frame = pl.DataFrame(
        {
            "carrier": rng.choice(["B6", "UA", "DL"], ROWS),
            "origin": rng.choice(["JFK", "LGA", "EWR"], ROWS),
            "dest": rng.choice(["SFO", "BOS"], ROWS),
            "departure_hour": hour.astype(np.float32),
            "temp": np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(15, 8, ROWS)).astype(np.float32),
        }
    )
    return to_pandas(frame), (rng.random(ROWS) < hour / 40).astype(int)


def test_it_is_unfitted_and_learns_that_evenings_are_late() -> None:
    model = estimator()
    assert not hasattr(model, "classes_")
    frame, late = flights()
    scores = model.fit(frame, late).predict_proba(frame)[:, 1]
    evening = frame["departure_hour"] > 18
    assert scores[evening].mean() > scores[~evening].mean()


def test_an_airport_that_was_never_seen_and_missing_weather_get_a_score() -> None:
    frame, late = flights()
    unseen = frame.head(3).assign(dest="XXX", carrier="??", temp=np.nan)
    assert np.isfinite(estimator().fit(frame, late).predict_proba(unseen)).all()
