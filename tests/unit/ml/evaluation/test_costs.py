from typing import Any

import numpy as np
import pytest

from mlcicd_assets.ml.evaluation.costs import CostError, Costs, cost_matrix, row_costs

CLASSES = ("cat", "dog", "owl")


def test_binary_costs_are_taken_by_truth_and_answer() -> None:
    matrix = cost_matrix(Costs(false_positive=2, false_negative=80, true_positive=-1), (0, 1))

    costs = row_costs(matrix, np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))

    assert costs.tolist() == [0.0, 2.0, 80.0, -1.0]


def test_the_matrix_of_many_classes_is_filled_up() -> None:
    costs = Costs.model_validate({"matrix": {"owl": {"cat": 9}}, "otherwise": 1})

    assert cost_matrix(costs, CLASSES).tolist() == [[0, 1, 1], [1, 0, 1], [9, 1, 0]]


def test_classes_may_be_numbers() -> None:
    costs = Costs.model_validate({"matrix": {3: {8: 2}}, "otherwise": 1})

    assert cost_matrix(costs, (3, 8)).tolist() == [[0, 2], [1, 0]]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"matrix": {"cow": {"cat": 1}}, "otherwise": 1}, "costs name the class 'cow'"),
        ({"matrix": {"owl": {"cat": 1}}}, "list nothing for truth 'cat' and answer 'dog'"),
    ],
)
def test_what_does_not_fit_the_classes_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(CostError, match=words):
        cost_matrix(Costs.model_validate(fields), CLASSES)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "need false_positive and false_negative"),
        ({"false_positive": 1}, "need false_positive and false_negative"),
        ({"false_positive": float("nan"), "false_negative": 1}, "finite"),
        ({"false_positive": 1, "false_negative": 1, "otherwise": 1}, "not both"),
        ({"matrix": {"a": {"b": float("inf")}}}, "finite"),
    ],
)
def test_half_declared_costs_are_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Costs.model_validate(fields)
