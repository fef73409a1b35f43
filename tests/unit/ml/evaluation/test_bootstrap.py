"""The vectorised bootstrap against scikit-learn, against a naive loop, and its invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mlcicd_assets.ml.evaluation.bootstrap import Means, Ranked, bootstrap, poisson_blocks
from mlcicd_assets.ml.evaluation.metrics import recall_at

SHARES = [0.01, 0.05, 0.1]


def holdout(seed: int, rows: int = 400, *, share: float = 0.2, ties: bool = False):
    rng = np.random.default_rng(seed)
    labels = np.zeros(rows, dtype=np.int64)
    labels[: max(2, int(share * rows))] = 1
    rng.shuffle(labels)
    scores = 1 / (1 + np.exp(-(1.2 * labels - 1 + rng.normal(0, 1, rows))))
    return labels, scores.round(1) if ties else scores


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 300), ties=st.booleans())
def test_every_row_once_gives_scikit_learns_metrics(seed: int, rows: int, ties: bool):
    labels, scores = holdout(seed, rows, ties=ties)

    drawn = Ranked(labels == 1, scores, SHARES).draw(np.ones((2, rows), dtype=np.uint8))

    expected = [
        average_precision_score(labels, scores),
        *(recall_at(labels, scores, share) for share in SHARES),
    ]
    np.testing.assert_allclose(drawn[:, 1], expected, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans())
def test_whole_counts_give_the_metrics_of_rows_repeated_so_often(seed: int, ties: bool):
    labels, scores = holdout(seed, 60, share=0.4, ties=ties)
    counts = np.random.default_rng(seed).integers(1, 4, (1, 60)).astype(np.uint8)
    # As many of each class as the counts say, so that scaling to the holdout's classes changes nothing.
    for k in (0, 1):
        total = counts[0, labels == k].sum()
        assert total > 0
    again = np.repeat(np.arange(60), counts[0])
    ones, zeros = (labels == 1).sum(), (labels == 0).sum()
    weights = np.where(labels[again] == 1, ones / labels[again].sum(), zeros / (1 - labels[again]).sum())

    (drawn,) = Ranked(labels == 1, scores, []).draw(counts)

    expected = average_precision_score(labels[again], scores[again], sample_weight=weights)
    assert drawn[0] == pytest.approx(expected, abs=1e-9)


def test_it_agrees_with_a_naive_loop_to_the_third_digit():
    labels, scores = holdout(1, 2_000)
    order = np.argsort(labels, kind="stable")
    labels, scores = labels[order], scores[order]
    rng = np.random.default_rng(5)
    negatives, positives = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    naive = []
    for _ in range(1_500):
        rows = np.concatenate([rng.choice(negatives, len(negatives)), rng.choice(positives, len(positives))])
        naive.append(
            [
                average_precision_score(labels[rows], scores[rows]),
                (scores[rows] - labels[rows]) @ (scores[rows] - labels[rows]) / len(rows),
            ]
        )

    ranked, means = bootstrap(
        [Ranked(labels == 1, scores, []), Means(((scores - labels) ** 2)[:, None], labels)],
        rows=2_000,
        resamples=4_000,
        seed=0,
    )

    expected, got = np.std(naive, axis=0), [ranked[0].std(), means[0].std()]
    # The loop's own noise is 2 % of a standard error, far below the third digit of either metric.
    np.testing.assert_allclose(got, expected, rtol=0.08)
    for one, two in ((ranked[0], 0), (means[0], 1)):
        for end in (2.5, 97.5):
            assert np.percentile(one, end) == pytest.approx(
                np.percentile(np.array(naive)[:, two], end), abs=2.5e-3
            )


def test_counts_are_poisson_of_mean_one_and_the_seed_decides_them():
    first = np.concatenate(list(poisson_blocks(rows=997, resamples=700, seed=3)))
    again = np.concatenate(list(poisson_blocks(rows=997, resamples=700, seed=3)))

    assert first.shape == (700, 997)
    assert (first == again).all()
    assert not (first == np.concatenate(list(poisson_blocks(rows=997, resamples=700, seed=4)))).all()
    assert first.mean() == pytest.approx(1.0, abs=0.006)  # five standard errors
    assert first.var() == pytest.approx(1.0, abs=0.012)
    assert (first == 0).mean() == pytest.approx(np.exp(-1), abs=0.003)


def test_each_class_keeps_its_number_of_rows():
    classes = np.array([0] * 50 + [1] * 5 + [2] * 45)
    shares = np.stack([classes == k for k in range(3)], axis=1).astype(float)

    (drawn,) = bootstrap([Means(shares, classes)], rows=100, resamples=300, seed=0)

    # Among them one resample in 150 that draws none of the five.
    np.testing.assert_allclose(drawn, np.repeat([[0.5], [0.05], [0.45]], 300, 1), atol=1e-6)
