"""Leakage: found whatever its form, and not where a feature is only good."""

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.data.leakage import MIN_ROWS, auc, known_after_event, label_leaks, shared_rows
from mlcicd_assets.ml.tasks import LabelKind

ROWS = 4_000
RNG = np.random.default_rng(0)
LABEL = (RNG.random(ROWS) < 0.3).astype(np.int8)
NOISE = RNG.normal(0, 1, ROWS)


def found(feature: pl.Series, *, allowed: tuple[str, ...] = (), label: np.ndarray = LABEL) -> list[str]:
    rows = pl.DataFrame({"_label": label}).with_columns(feature.alias("feature"))
    return [str(leak.column) for leak in label_leaks(rows, ["feature"], "_label", allowed).leaks]


LEAKS = {
    "the label itself": pl.Series(LABEL),
    "the label, negated": pl.Series(1 - LABEL),
    "a quantity that decides it": pl.Series(LABEL * 10.0 + RNG.random(ROWS)),
    "a category for each class": pl.Series(["returned" if one else "kept" for one in LABEL]),
    "many categories": pl.Series([f"{'a' if one else 'b'}{i % 20}" for i, one in enumerate(LABEL)]),
    "a value that only one class has": pl.Series([5.0 if one else None for one in LABEL]),
    "a number whose parity decides": pl.Series(RNG.integers(0, 10, ROWS) * 2 + LABEL),
    "an amount inside a band": pl.Series(np.where(LABEL == 1, 0.5, 2.0) * np.where(NOISE > 0, 1, -1)),
    "a flag": pl.Series(LABEL == 1),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_function_of_the_label_is_found(case: str):
    assert found(LEAKS[case]) == ["feature"]


def test_it_is_found_where_positives_are_rare():
    label = (RNG.random(40_000) < 0.01).astype(np.int8)

    assert found(pl.Series(label * 3.0 + RNG.random(40_000)), label=label) == ["feature"]


HONEST = {
    "noise": pl.Series(NOISE),
    "a strong feature": pl.Series(LABEL * 2.0 + NOISE),
    "an identifier": pl.Series([f"id{i}" for i in range(ROWS)]),
    "no value": pl.Series([None] * ROWS, dtype=pl.Float64),
    "one value": pl.Series(["same"] * ROWS),
}


@pytest.mark.parametrize("case", HONEST)
def test_an_honest_feature_is_left_alone(case: str):
    assert found(HONEST[case]) == []


def test_a_person_may_allow_a_feature():
    assert found(pl.Series(LABEL), allowed=("feature",)) == []


@pytest.mark.parametrize("label", [np.zeros(ROWS, np.int8), LABEL[: MIN_ROWS - 1]])
def test_too_little_evidence_is_told_and_not_judged(label: np.ndarray):
    rows = pl.DataFrame({"_label": label, "feature": label})

    findings = label_leaks(rows, ["feature"], "_label", [])

    assert findings.leaks == []
    assert "are needed to judge" in findings.missing


def test_a_feature_with_the_name_of_what_comes_later_is_found():
    (leak,) = known_after_event(["amount", "refund"], ["returned", "refund"])

    assert leak.column == "refund"
    assert "known only after the event" in leak.message


def windows(n: int = 500) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = pl.DataFrame({"_id": range(2 * n), "x": NOISE[: 2 * n], "_label": LABEL[: 2 * n]})
    return rows.head(n), rows.tail(n)


def test_a_holdout_apart_is_clean():
    train, holdout = windows()

    assert shared_rows(train, holdout, ["_id"], ["x", "_label"]).leaks == []


def test_rows_of_the_holdout_in_training_are_found_by_key():
    train, holdout = windows()

    leaks = shared_rows(pl.concat([train, holdout.head(2)]), holdout, ["_id"], ["x", "_label"]).leaks

    assert [(leak.rule, leak.value) for leak in leaks] == [("same_keys", 2)]
    assert "2 of 500 holdout rows have the keys (id) of a training row" in leaks[0].message


def test_copies_under_other_keys_are_found_by_content():
    train, holdout = windows()
    copies = holdout.head(50).with_columns(pl.col("_id") + 10_000)

    leaks = shared_rows(pl.concat([train, copies]), holdout, ["_id"], ["x", "_label"]).leaks

    assert [leak.rule for leak in leaks] == ["same_content"]


def test_rows_that_are_alike_by_chance_are_no_leak():
    train, holdout = windows()
    coarse = pl.col("x").round(1)

    assert (
        shared_rows(train.with_columns(coarse), holdout.with_columns(coarse), ["_id"], ["x", "_label"]).leaks
        == []
    )


def test_the_area_counts_ties_half():
    assert auc(pl.Series([1.0, 1.0, 1.0, 1.0]), pl.Series([0, 1, 0, 1])) == 0.5
    assert auc(pl.Series([1, 2, 3, 4]), pl.Series([0, 0, 1, 1])) == 1.0
    assert auc(pl.Series([1, 2]), pl.Series([1, 1])) == 0.5


CLASS = RNG.choice(["cat", "dog", "owl"], ROWS, p=[0.6, 0.3, 0.1])
CODE = np.searchsorted(["cat", "dog", "owl"], CLASS)


def told(feature: pl.Series, label: np.ndarray, kind: LabelKind) -> list[str]:
    rows = pl.DataFrame({"_label": label}).with_columns(feature.alias("feature"))
    return [leak.message for leak in label_leaks(rows, ["feature"], "_label", (), kind).leaks]


def test_what_tells_all_classes_apart_is_found_and_what_decides_one_of_them_is_not():
    assert "mean area" in told(pl.Series(CODE + 0.1 * RNG.random(ROWS)), CLASS, "classes")[0]
    assert told(pl.Series([f"{one}!" for one in CLASS]), CLASS, "classes")
    assert not told(pl.Series(CODE == 0), CLASS, "classes")
    assert not told(pl.Series(NOISE), CLASS, "classes")


@pytest.mark.parametrize(
    "feature",
    [pl.Series(np.exp(NOISE)), pl.Series(-NOISE), pl.Series(np.round(NOISE, 1)).cast(pl.String)],
    ids=["monotone", "falling", "as text"],
)
def test_what_ranks_a_number_is_found(feature: pl.Series):
    assert "a correlation of" in told(feature, NOISE, "number")[0]


@pytest.mark.parametrize(
    "feature",
    [
        pl.Series(NOISE + RNG.normal(0, 0.3, ROWS)),
        pl.Series(RNG.normal(0, 1, ROWS)),
        pl.Series([None] * ROWS, dtype=pl.Float32),
        pl.Series([f"id{i}" for i in range(ROWS)]),
    ],
    ids=["strong", "noise", "no value", "identifier"],
)
def test_what_is_only_good_for_a_number_is_left_alone(feature: pl.Series):
    assert told(feature, NOISE, "number") == []


def test_a_square_that_is_no_rank_is_found_by_its_mapping():
    assert told(pl.Series(NOISE), np.abs(NOISE), "number")


def test_too_few_rows_of_a_number_are_no_evidence():
    rows = pl.DataFrame({"_label": NOISE[:50], "feature": NOISE[:50]})
    found = label_leaks(rows, ["feature"], "_label", (), "number")
    assert not found.leaks
    assert "are needed to judge" in found.missing
