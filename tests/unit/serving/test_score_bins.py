"""Scores by bin: the same bins for every version."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.serving.score_bins import binned


@given(scores=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60))
def test_every_row_of_a_binary_model_is_in_the_bin_above_its_score(scores: list[float]) -> None:
    positive = np.array(scores, dtype=np.float32)
    predictions = Predictions(np.stack([1 - positive, positive], axis=1), np.zeros(len(scores), dtype=int))
    found = binned(predictions, "binary")
    assert sum(found.values()) == len(scores)
    for bin_ in found:
        assert any(float(bin_) - 0.05 - 1e-6 <= score <= float(bin_) + 1e-6 for score in scores)


def test_a_constant_model_has_one_bin() -> None:
    predictions = Predictions(np.array([[0.7, 0.3]] * 50, dtype=np.float32), np.zeros(50, dtype=int))
    assert binned(predictions, "binary") == {"0.35": 50} or binned(predictions, "binary") == {"0.30": 50}


def test_classes_are_counted() -> None:
    predictions = Predictions(np.full((3, 3), 1 / 3, dtype=np.float32), np.array(["cat", "dog", "cat"]))
    assert binned(predictions, "multiclass") == {"cat": 2, "dog": 1}


@pytest.mark.parametrize(
    ("value", "bin_"), [(0.0, "0"), (1e-9, "0"), (1.0, "1"), (1.2, "1.58"), (-20.0, "-25.1"), (1e30, "1e+12")]
)
def test_numbers_are_binned_by_magnitude(value: float, bin_: str) -> None:
    assert binned(Predictions(np.array([value])), "regression") == {bin_: 1}
