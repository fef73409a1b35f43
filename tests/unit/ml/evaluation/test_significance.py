"""The verdict on a challenger: what each interval says, on sound, identical, tiny and one-sided holdouts."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.costs import Costs
from mlcicd_assets.ml.evaluation.counts import mcnemar
from mlcicd_assets.ml.evaluation.metrics import comparable_metrics
from mlcicd_assets.ml.evaluation.significance import (
    Significance,
    decide_one,
    judge,
    rows_needed,
)
from mlcicd_assets.ml.evaluation.slices import Scored
from mlcicd_assets.ml.evaluation.spreads import Sampling, spreads
from mlcicd_assets.ml.evaluation.target import Target

RULE = ChampionRule(metric="roc_auc", non_inferiority=0.01, resamples=400)
BINARY = Target("binary", costs=Costs(false_positive=1.0, false_negative=5.0))


def scored(seed: int, rows: int = 600, *, share: float = 0.3, mine: float = 1.0, theirs: float = 1.0):
    """Labels, and two models' scores: a common signal, and noise of their own, less where skill is higher."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(rows) < share * rows).astype(np.int64)
    rng.shuffle(labels)
    signal = 1.5 * labels + rng.normal(0, 1, rows)
    both = [skill * signal + rng.normal(0, 0.7, rows) for skill in (mine, theirs)]
    return labels, *(1 / (1 + np.exp(-(one - 1))) for one in both)


def compared(truth, mine, theirs, *, target: Target = BINARY, rule: ChampionRule = RULE, seed: int = 0):
    known = [target.measure(truth, one).metrics if one is not None else {} for one in (mine, theirs)]
    opponent = Scored(target, truth, theirs) if theirs is not None else None
    return judge(
        Scored(target, truth, mine), opponent, metrics=known[0], champion=known[1], rule=rule, seed=seed
    )


def intervals(found: Significance) -> dict[str, tuple[float, float]]:
    return {one.metric: (one.gain_low, one.gain_high) for one in found.metrics if one.gain_low is not None}


@pytest.mark.parametrize(
    ("low", "high", "margin", "expected"),
    [
        (0.001, 0.02, 0.0, "better"),
        (-0.004, 0.02, 0.005, "non_inferior"),
        (-0.004, -0.001, 0.005, "non_inferior"),  # surely a little worse, and surely within the margin
        (0.0, 0.0, 0.0, "non_inferior"),
        (-0.004, 0.02, 0.0, "inconclusive"),
        (-0.02, 0.02, 0.005, "inconclusive"),
        (-0.02, -0.01, 0.005, "worse"),
        (-0.02, -0.001, 0.005, "worse"),
    ],
)
def test_what_an_interval_says(low: float, high: float, margin: float, expected: str):
    assert decide_one(low, high, margin) == expected


def test_a_clearly_better_and_a_clearly_worse_challenger():
    truth, mine, theirs = scored(0, 3_000, mine=1.5, theirs=0.3)

    assert compared(truth, mine, theirs).verdict == "better"
    assert compared(truth, theirs, mine).verdict == "worse"


def test_identical_scores_differ_by_exactly_nothing():
    truth, mine, _ = scored(1)
    rule = ChampionRule(
        metric="roc_auc", resamples=200, also={"brier": 0.0, "f1": 0.0, "average_precision": 0.0}
    )

    found = compared(truth, mine, mine.copy(), rule=rule)

    assert set(intervals(found).values()) == {(0.0, 0.0)}
    assert found.verdict == "non_inferior"


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), skill=st.floats(0.2, 2.0))
def test_every_interval_holds_its_value_and_its_gain(seed: int, skill: float):
    truth, mine, theirs = scored(seed, 200, mine=skill)

    found = compared(truth, mine, theirs)

    assert set(intervals(found)) == set(comparable_metrics("binary"))
    for one in found.metrics:
        if one.method:
            assert one.low <= one.value <= one.high
            assert one.champion_low <= one.champion <= one.champion_high
            assert one.gain_low <= one.gain <= one.gain_high


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_swapping_the_models_mirrors_the_interval(seed: int):
    truth, mine, theirs = scored(seed, 300)

    one, other = compared(truth, mine, theirs), compared(truth, theirs, mine)

    for name, (low, high) in intervals(one).items():
        mirrored = intervals(other)[name]
        # Other resamples: the same up to the noise of 400 of them, and exactly so in closed form.
        tolerance = 1e-9 if one.of(name).method == "DeLong" else 0.35 * (high - low) + 0.01
        assert (-mirrored[1], -mirrored[0]) == pytest.approx((low, high), abs=tolerance)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_is_immaterial(seed: int):
    truth, mine, theirs = scored(seed, 300)
    order = np.random.default_rng(seed).permutation(300)

    one, other = compared(truth, mine, theirs), compared(truth[order], mine[order], theirs[order])

    for name, (low, high) in intervals(one).items():
        assert intervals(other)[name] == pytest.approx((low, high), abs=1e-9), name


def test_the_seed_decides_the_resamples():
    truth, mine, theirs = scored(2)

    assert compared(truth, mine, theirs, seed=1) == compared(truth, mine, theirs, seed=1)
    assert compared(truth, mine, theirs, seed=1) != compared(truth, mine, theirs, seed=2)


def test_every_metric_that_decides_must_hold():
    truth, mine, theirs = scored(0, 3_000, mine=1.5, theirs=0.3)
    worse_calibrated = mine**4  # the same ranking, other probabilities
    rule = ChampionRule(metric="roc_auc", also={"log_loss": 0.01}, resamples=200)

    found = compared(truth, worse_calibrated, theirs, rule=rule)

    assert found.of("roc_auc").verdict == "better"
    assert found.of("log_loss").verdict == "worse"
    assert found.verdict == "worse"
    assert [one.metric for one in found.metrics if one.decides] == ["roc_auc", "log_loss"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 0, 1, 0, 0], "4 rows of class 0, 2 rows of class 1"),
        ([0] * 50, "0 rows of class 1"),
        ([1] * 50, "0 rows of class 0"),
        ([0] * 50 + [1] * 9, "9 rows of class 1; an interval needs 10 of each"),
    ],
)
def test_a_degenerate_holdout_is_named_and_inconclusive(labels: list[int], said: str):
    truth = np.array(labels)
    mine, theirs = np.linspace(0.1, 0.9, len(truth)), np.linspace(0.2, 0.8, len(truth))

    found = compared(truth, mine, theirs)

    assert found.verdict == "inconclusive"
    assert said in found.of("roc_auc").reason
    assert intervals(found) == {}


def test_a_score_that_is_no_number_is_inconclusive():
    truth, mine, theirs = scored(0)
    theirs[3] = np.nan

    found = compared(truth, mine, theirs)

    assert (found.verdict, found.of("roc_auc").reason) == ("inconclusive", "a score is no number")


def test_without_a_champion_there_are_intervals_and_no_verdict():
    truth, mine, _ = scored(0)

    found = compared(truth, mine, None)

    assert found.verdict is None
    assert found.of("roc_auc").low < found.of("roc_auc").value < found.of("roc_auc").high
    assert found.of("roc_auc").verdict is None


def test_what_is_undecided_says_how_many_rows_would_decide_and_they_do():
    truth, mine, theirs = scored(3, 600, mine=1.0, theirs=0.85)
    rule = ChampionRule(metric="roc_auc", resamples=200)

    found = compared(truth, mine, theirs, rule=rule).of("roc_auc")

    assert found.verdict == "inconclusive"
    assert found.rows_needed > 600
    # The same data so many times over has the same gain, and a standard error that has shrunk with the root.
    times = -(-found.rows_needed // 600)
    again = compared(*(np.tile(x, times) for x in (truth, mine, theirs)), rule=rule).of("roc_auc")
    assert again.verdict in {"better", "worse"}


def test_rows_needed_is_the_textbook_number():
    # Two-sided 95 %, power 80 %: (1.96 + 0.8416)² = 7.849.
    assert rows_needed(0.0, 0.01, 0.01, rows=1_000, confidence=0.95) == pytest.approx(7_849, abs=1)
    assert rows_needed(-0.01, 0.01, 0.01, rows=1_000, confidence=0.95) == pytest.approx(7_849, abs=1)
    assert rows_needed(0.0, 0.01, 0.0, rows=1_000, confidence=0.95) is None
    assert rows_needed(0.02, 0.0, 0.0, rows=1_000, confidence=0.95) is None


def test_mcnemar_is_the_exact_binomial_test():
    right, wrong = np.array([True] * 10), np.array([False] * 10)
    mine, theirs = np.concatenate([right[:9], wrong[:2]]), np.concatenate([wrong[:9], right[:2]])

    assert mcnemar(mine, theirs) == pytest.approx(0.0654296875)  # scipy.stats.binomtest(2, 11).pvalue
    assert mcnemar(mine, mine) == 1.0


def test_four_rows_that_differ_do_not_make_accuracy_better():
    truth = np.array([0, 1] * 100)
    mine = np.where(truth == 1, 0.9, 0.1)
    theirs = mine.copy()
    theirs[:8:2] = 0.9  # four negatives wrong, where the challenger is right
    rule = ChampionRule(metric="accuracy")

    found = compared(truth, mine, theirs, rule=rule).of("accuracy")

    assert found.gain_low > 0
    assert (found.p_value, found.verdict) == (0.125, "non_inferior")


def test_many_classes_and_numbers_are_compared_too():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 4, 1_500)
    logits = rng.normal(0, 1, (1_500, 4)) + 1.5 * np.eye(4)[classes]
    good, poor = (np.exp(s * logits) / np.exp(s * logits).sum(axis=1, keepdims=True) for s in (1.0, 0.2))
    target = Target("multiclass", ("a", "b", "c", "d"))
    found = compared(classes, good, poor, target=target, rule=ChampionRule(metric="log_loss"))
    assert found.verdict == "better"
    assert found.of("accuracy").gain == 0.0
    assert found.classes.keys() == {"a", "b", "c", "d"}

    truth = rng.normal(10, 3, 1_000)
    near, far = truth + rng.normal(0, 1, 1_000), truth + rng.normal(0, 1.3, 1_000)
    regression = Target("regression", ())
    found = compared(truth, near, far, target=regression, rule=ChampionRule(metric="rmse", also={"mae": 0.0}))
    assert found.verdict == "better"
    assert set(intervals(found)) == set(comparable_metrics("regression"))
    few = compared(truth[:6], near[:6], far[:6], target=regression, rule=ChampionRule(metric="rmse"))
    assert few.verdict == "inconclusive"
    assert few.of("rmse").reason == "the holdout has 6 rows, an interval needs 30"


def test_a_class_with_few_rows_leaves_what_is_not_its_mean():
    rng = np.random.default_rng(0)
    classes = np.array([0] * 200 + [1] * 200 + [2] * 4)
    scores = [rng.dirichlet(np.ones(3), 404) + np.eye(3)[classes] for _ in range(2)]
    mine, theirs = (one / one.sum(axis=1, keepdims=True) for one in scores)

    found = compared(
        classes, mine, theirs, target=Target("multiclass", (0, 1, 2)), rule=ChampionRule(metric="accuracy")
    )

    assert found.of("accuracy").method == "multinomial bootstrap"
    assert "4 rows of class 2" in found.of("f1_macro").reason


def test_type_one_error_and_coverage_at_few_rows():
    """Two models of equal skill: an interval of 95 % leaves out no difference in 5 % of the holdouts."""
    simulations, how = 300, Sampling(resamples=200)
    names = ["roc_auc", "average_precision", "accuracy", "brier"]
    rejected, covered = dict.fromkeys(names, 0), 0
    area = NormalDist().cdf(1.5 / math.sqrt(1 + 0.7**2) / math.sqrt(2))  # the truth behind `scored`
    for seed in range(simulations):
        truth, mine, theirs = scored(10_000 + seed, 250)
        found = spreads(Scored(Target("binary"), truth, mine), Scored(Target("binary"), truth, theirs), how)
        for name in names:
            low, high = found[name].difference
            rejected[name] += low > 0 or high < 0
        covered += found["roc_auc"].mine[0] <= area <= found["roc_auc"].mine[1]

    # 5 % with a binomial standard error of 1.3 %: bounds that chance keeps in 999 runs of 1,000.
    assert {name: 0.01 <= count / simulations <= 0.095 for name, count in rejected.items()} == dict.fromkeys(
        names, True
    ), rejected
    assert covered / simulations >= 0.91
