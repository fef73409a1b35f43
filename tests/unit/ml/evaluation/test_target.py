"""Metrics of every task, against scikit-learn's, and what is said where there is nothing to measure."""

import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.ml.evaluation.calibration import calibration_error
from mlcicd_assets.ml.evaluation.costs import Costs
from mlcicd_assets.ml.evaluation.metrics import all_metrics, metrics_of
from mlcicd_assets.ml.evaluation.target import Target, TargetError
from mlcicd_assets.ml.tasks import TASKS

ANIMALS = ("cat", "dog", "eel", "owl")
MANY = Target("multiclass", ANIMALS)
NUMBER = Target("regression", ())
BINARY = Target("binary", costs=Costs(false_positive=2, false_negative=80))


def many(rows: int = 500, seed: int = 0) -> tuple[pl.Series, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(ANIMALS), rows, p=[0.5, 0.3, 0.15, 0.05])
    logits = rng.normal(size=(rows, len(ANIMALS))) + 2 * np.eye(len(ANIMALS))[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pl.Series([ANIMALS[index] for index in truth]), probabilities


def test_a_name_means_the_same_direction_in_every_task() -> None:
    for task in TASKS:
        assert {name: all_metrics()[name] for name in metrics_of(task)} == dict(metrics_of(task))


def test_the_metrics_of_many_classes_are_scikit_learns() -> None:
    labels, probabilities = many()
    truth = MANY.truth(labels)
    answers = probabilities.argmax(axis=1)

    metrics = MANY.measure(truth, probabilities).metrics

    assert list(metrics) == list(metrics_of("multiclass"))
    expected = {
        "accuracy": sk.accuracy_score(truth, answers),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, answers),
        "f1_macro": sk.f1_score(truth, answers, average="macro"),
        "f1_weighted": sk.f1_score(truth, answers, average="weighted"),
        "roc_auc_ovr": sk.roc_auc_score(truth, probabilities, multi_class="ovr"),
        "top_3_accuracy": sk.top_k_accuracy_score(truth, probabilities, k=3),
        "log_loss": sk.log_loss(truth, probabilities),
        "brier": sk.brier_score_loss(truth, probabilities, scale_by_half=False),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
    assert metrics["top_5_accuracy"] is None  # four classes
    assert metrics["expected_cost"] is None
    assert 0 < (metrics["ece"] or 0) < 0.3


def test_the_metrics_of_a_number_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(10, 2, 300)
    values = truth + rng.normal(0, 1, 300)

    metrics = NUMBER.measure(truth, values).metrics

    assert metrics == pytest.approx(
        {
            "rmse": sk.root_mean_squared_error(truth, values),
            "mae": sk.mean_absolute_error(truth, values),
            "median_absolute_error": sk.median_absolute_error(truth, values),
            "mape": sk.mean_absolute_percentage_error(truth, values),
            "r2": sk.r2_score(truth, values),
        }
    )


def test_costs_are_money_per_row() -> None:
    metrics = BINARY.measure(np.array([0, 0, 1, 1]), np.array([0.1, 0.9, 0.2, 0.8])).metrics

    assert metrics["expected_cost"] == (0 + 2 + 80 + 0) / 4


def test_costs_that_do_not_fit_are_said_and_no_number_is_made() -> None:
    labels, probabilities = many()
    priced = Target("multiclass", ANIMALS, costs=Costs.model_validate({"matrix": {"cow": {"cat": 1}}}))

    measured = priced.measure(priced.truth(labels), probabilities)

    assert measured.metrics["expected_cost"] is None
    assert "costs name the class 'cow'" in measured.notes[-1]


def test_a_class_without_rows_is_named_and_what_needs_it_is_missing() -> None:
    labels, probabilities = many()
    seen = labels != "owl"

    measured = MANY.measure(MANY.truth(labels.filter(seen)), probabilities[seen.to_numpy()])

    assert measured.metrics["roc_auc_ovr"] is None
    assert measured.metrics["f1_macro"] is not None
    assert measured.metrics["log_loss"] is not None
    assert measured.notes == ["the holdout has no row of class owl"]


@pytest.mark.parametrize(
    ("target", "truth", "scores", "note"),
    [
        (BINARY, np.ones(6, np.int64), np.linspace(0, 1, 6), "no row of class 0"),
        (MANY, np.zeros(6, np.int64), np.full((6, 4), 0.25), "no row of class dog, eel, owl"),
        (NUMBER, np.full(6, 3.0), np.arange(6.0), "every true value is 3"),
    ],
)
def test_six_rows_of_one_class_are_named_not_crashed(
    target: Target, truth: np.ndarray, scores: np.ndarray, note: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = target.measure(truth, scores)

    assert list(measured.metrics) == list(metrics_of(target.task))
    assert any(note in said for said in measured.notes)
    assert any("6 rows only" in said for said in measured.notes)
    undefined = {"binary": "roc_auc", "multiclass": "balanced_accuracy", "regression": "r2"}[target.task]
    assert measured.metrics[undefined] is None


@pytest.mark.parametrize("target", [BINARY, MANY, NUMBER], ids=lambda target: target.task)
def test_no_rows_and_no_numbers_give_no_metric(target: Target) -> None:
    empty = np.empty((0, 4)) if target.task == "multiclass" else np.empty(0)
    lost = np.full((3, 4), np.nan) if target.task == "multiclass" else np.full(3, np.nan)

    assert set(target.measure(np.empty(0, np.int64), empty).metrics.values()) == {None}
    measured = target.measure(np.array([0, 1, 0]), lost)
    assert set(measured.metrics.values()) == {None}
    assert "a score is no number" in measured.notes


def test_mape_is_missing_where_a_true_value_is_zero() -> None:
    assert NUMBER.measure(np.array([0.0, 1.0]), np.array([1.0, 1.0])).metrics["mape"] is None


@given(st.permutations(range(60)), st.sampled_from([BINARY, MANY, NUMBER]))
def test_the_order_of_rows_is_immaterial(order: list[int], target: Target) -> None:
    labels, probabilities = many(60)
    truth = MANY.truth(labels)
    scores = np.round(probabilities, 1)  # with ties
    if target.task != "multiclass":
        truth, scores = (truth > 0).astype(np.int64), scores[:, 0]

    one, two = target.measure(truth, scores).metrics, target.measure(truth[order], scores[order]).metrics

    assert one == pytest.approx(two, nan_ok=True)


def test_a_class_that_was_never_learned_has_the_probability_zero() -> None:
    labels = pl.Series(["cat", "dog", "yak"])
    target = Target("multiclass", ("cat", "dog")).among(labels)
    predictions = Predictions(np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), np.array(["cat", "dog", "cat"]))

    scores = target.scores(predictions, ("cat", "dog"))
    metrics = target.measure(target.truth(labels), scores).metrics

    assert target.classes == ("cat", "dog", "yak")
    assert scores[:, 2].tolist() == [0, 0, 0]
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["log_loss"] is not None
    assert metrics["log_loss"] > 10


def test_a_champion_with_other_classes_is_measured_on_the_same_ones() -> None:
    target = Target("multiclass", ("cat", "dog"))
    champions = Predictions(np.array([[0.1, 0.7, 0.2], [0.6, 0.1, 0.3]]), np.array(["cat", "ant"]))

    scores = target.scores(champions, ("ant", "cat", "dog"))

    assert scores.tolist() == [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]
    assert target.measure(np.array([0, 1]), scores).metrics["accuracy"] == 0.5


@pytest.mark.parametrize(
    ("target", "labels", "words"),
    [
        (MANY, pl.Series([1, 2]), "the label's type has changed"),
        (Target("multiclass", (1, 2)), pl.Series(["1", "2"]), "the label's type has changed"),
        (BINARY, pl.Series([0, 2]), "labels are among 0, 1"),
        (BINARY, pl.Series([0, None]), "1 labels are missing"),
        (NUMBER, pl.Series(["a"]), "learned numbers"),
        (NUMBER, pl.Series([np.inf]), "no finite number"),
    ],
)
def test_labels_that_do_not_fit_are_named(target: Target, labels: Any, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        target.truth(labels)


def test_calibration_is_perfect_where_shares_are_as_promised() -> None:
    scores = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 400)
    outcomes = np.concatenate([np.arange(400) < 400 * score for score in [0, 0.25, 0.5, 0.75, 1]])

    assert calibration_error(outcomes.astype(np.int64), scores) == pytest.approx(0)
    assert calibration_error(np.zeros(10, np.int64), np.full(10, 0.3)) == pytest.approx(0.3)
