import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.data.drift import compare, compare_frames, discoveries, measure
from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule
from mlcicd_assets.ml.data.profiles import profile_column, profile_frame
from mlcicd_assets.ml.data.schema_drift import schema_diff

numbers = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan"))), max_size=60)
texts = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), max_size=60)
columns = st.one_of(
    st.tuples(numbers, numbers, st.just(pl.Float64)), st.tuples(texts, texts, st.just(pl.String))
)


def profiles(pair):
    before, after, dtype = pair
    return tuple(profile_column(pl.Series("x", values, dtype=dtype)) for values in (before, after))


@given(columns)
def test_effects_are_never_negative_and_bounded_ones_stay_below_one(pair):
    effect = measure(*profiles(pair))
    assert effect.psi >= 0
    assert effect.wasserstein >= 0
    assert 0 <= effect.js <= 1
    assert 0 <= effect.ks <= 1 + 1e-12
    assert 0 <= effect.p <= 1


@given(columns)
def test_nothing_moved_from_a_column_to_itself(pair):
    before, _ = profiles(pair)
    effect = measure(before, before)
    assert effect.psi == pytest.approx(0, abs=1e-9)
    assert effect.js == pytest.approx(0, abs=1e-6)
    assert effect.ks == pytest.approx(0, abs=1e-9)
    assert effect.wasserstein == pytest.approx(0, abs=1e-9)
    assert effect.p == pytest.approx(1, abs=1e-6)


@given(st.tuples(texts, texts, st.just(pl.String)))
def test_jensen_shannon_is_symmetric_where_all_categories_are_known_to_both(pair):
    known = [*"abcdef"]
    before, after = (profile_column(pl.Series("x", [*values, *known])) for values in pair[:2])
    assert measure(before, after).js == pytest.approx(measure(after, before).js, abs=1e-9)


@given(columns, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_count(pair, random):
    before, after, dtype = pair
    shuffled = list(after)
    random.shuffle(shuffled)
    assert measure(*profiles((before, after, dtype))) == measure(*profiles((before, shuffled, dtype)))


def frame(shift: float = 0.0, rows: int = 4000, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "moved": rng.normal(shift, 1, rows),
            "still": rng.lognormal(0, 2, rows),
            "kind": rng.choice(["a", "b", "c"], rows),
            "flag": rng.random(rows) < 0.01,
        }
    )


def test_only_what_moved_drifts():
    found = compare_frames(frame(), frame(0.5, seed=1), DriftRule.parse("ks <= 0.1"))
    assert [one.name for one in found if one.outcome == "drifted"] == ["moved"]
    assert found[0].size == pytest.approx(0.197, abs=0.03)


def test_with_many_rows_a_significant_trifle_is_no_drift():
    found = compare_frames(
        frame(rows=200_000), frame(0.03, rows=200_000, seed=1), DriftRule.parse("ks <= 0.1")
    )
    moved = next(one for one in found if one.name == "moved")
    assert moved.significant
    assert moved.outcome == "stable"


def test_with_few_rows_a_large_effect_is_no_evidence():
    found = compare_frames(frame(rows=4000), frame(3.0, rows=50, seed=1), DriftRule.parse("ks <= 0.1"))
    assert {one.outcome for one in found} == {"not enough evidence"}
    assert "50 rows in the partition; 200 are needed" in found[0].reason


def test_a_column_without_reference_is_a_cold_start():
    current = profile_frame(frame())
    found = compare({}, current, {"moved": DriftRule.parse("psi <= 0.1")})
    assert [one.outcome for one in found] == ["cold start"]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("x", [None] * 1000, dtype=pl.Float64),  # all missing
        pl.Series("x", [9.0] * 1000),  # another constant
        pl.Series("x", [float("inf")] * 1000),
    ],
)
def test_a_constant_that_changed_or_vanished_drifts_by_every_measure_of_shares(values: pl.Series):
    before = profile_column(pl.Series("x", [5.0] * 1000))
    effect = measure(before, profile_column(values))
    assert effect.psi > 1
    assert effect.ks == 1
    assert effect.js > 0.99
    assert effect.p < 1e-9


def test_a_new_category_drifts():
    before = profile_column(pl.Series("x", ["a", "b"] * 500))
    after = profile_column(pl.Series("x", ["a", "new"] * 500))
    assert measure(before, after).ks == pytest.approx(0.5)


def test_the_p_value_rejects_as_often_as_it_says():
    rejected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        before, after = (profile_column(pl.Series("x", rng.normal(size=1000))) for _ in range(2))
        rejected += measure(before, after).p < 0.05
    assert 3 <= rejected <= 20  # 10 expected


def test_benjamini_hochberg_by_its_own_example():
    # Benjamini and Hochberg (1995), section 3.2: the first four of fifteen are rejected at 0.05.
    published = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    published += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    assert discoveries(published, 0.05) == [True] * 4 + [False] * 11
    assert discoveries([]) == []


def test_schema_drift_reads_like_a_diff():
    diff = schema_diff({"a": "Int64", "b": "String"}, {"a": "Float64", "c": "Date"})
    assert diff
    assert diff.lines() == ["+ c: Date", "- b: String", "~ a: Int64 → Float64"]
    assert not schema_diff({"a": "Int64", "b": "String"}, {"b": "String", "a": "Int64"})
