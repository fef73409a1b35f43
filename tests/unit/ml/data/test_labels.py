"""From the declared label to 1, 0 and null."""

import math
from typing import Any

import polars as pl
import pytest

from mlcicd_assets.ml.data.labels import LabelError, label_column
from mlcicd_assets.ml.declarations import Label


def labels(values: Any, positive: str | None = None, dtype: Any = None) -> list[int | None]:
    records = pl.DataFrame({"target": pl.Series(values, dtype=dtype)})
    made = label_column(Label(column="target", positive=positive), records)
    assert made.dtype == pl.Int8
    return made.to_list()


@pytest.mark.parametrize(
    ("positive", "expected"),
    [
        ("> 15", [0, 0, 1, None]),
        (">= 15", [0, 1, 1, None]),
        ("< 15", [1, 0, 0, None]),
        ("<= 15", [1, 1, 0, None]),
    ],
)
def test_a_bound_makes_a_class_of_a_number(positive: str, expected: list[int | None]):
    assert labels([14, 15, 16, None], positive, pl.Int16) == expected


def test_no_number_is_no_label():
    assert labels([math.nan, 20.0, None], "> 15") == [None, 1, None]
    assert labels([math.nan, 1.0, 0.0]) == [None, 1, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([True, False, None], [1, 0, None]), ([1, 0, None], [1, 0, None]), ([None, None], [None, None])],
)
def test_booleans_zeros_and_ones_are_labels(values: list[Any], expected: list[int | None]):
    assert labels(values) == expected


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        ([0, 1, 2], None, r"holds \[2\]; it must hold 0 and 1 only, or declare 'positive'"),
        (["yes", "no"], None, "is String; it must be boolean, or a number of 0 and 1"),
        (["late"], "> 15", "is String, but 'positive: > 15' needs a number"),
        ([True], "> 15", "is Boolean, but 'positive: > 15' needs a number"),
    ],
)
def test_what_cannot_be_learned_is_refused(values: list[Any], positive: str | None, message: str):
    with pytest.raises(LabelError, match=f"the label column 'target' {message}"):
        labels(values, positive)


def test_a_missing_column_is_refused_with_what_there_is():
    with pytest.raises(LabelError, match="the label column 'target' is missing; there are: delay, carrier"):
        label_column(Label(column="target"), pl.DataFrame({"delay": [1], "carrier": ["UA"]}))


def kept(values: Any, kind: str, dtype: Any = None) -> pl.Series:
    records = pl.DataFrame({"target": pl.Series(values, dtype=dtype)})
    return label_column(Label.model_validate({"column": "target", "kind": kind}), records)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (["cat", None, "dog"], pl.String, ["cat", None, "dog"]),
        (["cat", None, "dog"], pl.Categorical, ["cat", None, "dog"]),
        ([3, None, -1], pl.Int8, [3, None, -1]),
        ([3.0, math.nan, 8.0], pl.Float64, [3, None, 8]),
        ([None, None], None, [None, None]),
    ],
)
def test_classes_are_texts_or_whole_numbers(values: Any, dtype: Any, expected: list[Any]):
    made = kept(values, "classes", dtype)
    assert made.dtype in (pl.String, pl.Int64)
    assert made.to_list() == expected


@pytest.mark.parametrize("values", [[1.5, 2.0], [math.inf, 1.0], [True, False]])
def test_what_is_no_class_is_refused(values: list[Any]):
    with pytest.raises(LabelError, match="classes are text or whole numbers"):
        kept(values, "classes")


def test_a_number_stays_one_and_nan_is_not_known():
    assert kept([1, None, 3], "number", pl.Int32).to_list() == [1.0, None, 3.0]
    assert kept([1.5, math.nan], "number").to_list() == [1.5, None]


@pytest.mark.parametrize(("values", "words"), [(["a"], "needs a number"), ([math.inf], "infinite number")])
def test_what_is_no_number_is_refused(values: list[Any], words: str):
    with pytest.raises(LabelError, match=words):
        kept(values, "number")


def test_positive_makes_a_binary_label_only():
    with pytest.raises(ValueError, match="'positive' makes a binary label"):
        Label(column="target", positive="> 1", kind="number")
