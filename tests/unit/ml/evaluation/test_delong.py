"""DeLong's variance against known values and against pROC's definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlcicd_assets.ml.evaluation.delong import components, midranks, standard_error


def test_midranks_share_ties():
    assert midranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_a_case_that_can_be_checked_by_hand():
    # Positives 0.8 and 0.4, negatives 0.6 and 0.2: three of four pairs are ranked right. The placements of
    # either class are 1 and 0.5, with variance 1/8: Var = (1/8)/2 + (1/8)/2 = 1/8.
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.8, 0.4, 0.6, 0.2])

    parts = components(labels, scores)

    assert parts[labels == 1].sum() == pytest.approx(0.75)
    assert standard_error(labels, parts) == pytest.approx(np.sqrt(1 / 8))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_it_equals_the_definition_with_all_pairs(seed: int, ties: bool):
    rng = np.random.default_rng(seed)
    labels = np.array([1] * 15 + [0] * 25)
    one, two = (rng.normal(labels, 1).round(0 if ties else 9) for _ in range(2))

    def structural(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        above = scores[labels == 1][:, None] - scores[labels == 0][None, :]
        wins = (above > 0) + 0.5 * (above == 0)
        return wins.mean(axis=1), wins.mean(axis=0)

    (v1, w1), (v2, w2) = structural(one), structural(two)
    expected = np.var(v1 - v2, ddof=1) / 15 + np.var(w1 - w2, ddof=1) / 25

    parts = components(labels, one) - components(labels, two)

    assert standard_error(labels, parts) ** 2 == pytest.approx(expected, abs=1e-12)
    assert components(labels, one)[labels == 1].sum() == pytest.approx(roc_auc_score(labels, one))


def test_many_classes_average_and_two_classes_are_the_same_either_way():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 300)
    scores = rng.dirichlet(np.ones(3), 300) + 0.3 * np.eye(3)[classes]
    areas = [roc_auc_score(classes == k, scores[:, k]) for k in range(3)]
    two = (classes > 0).astype(np.int64)
    positive = scores[:, 1] + scores[:, 2]

    assert components(classes, scores).sum() / 2 == pytest.approx(np.mean(areas))
    both = np.stack([-positive, positive], axis=1)
    assert standard_error(two, components(two, both)) == pytest.approx(
        standard_error(two, components(two, positive))
    )
