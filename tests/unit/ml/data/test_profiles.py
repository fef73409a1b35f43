import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.data.partition_statistics import distributions, from_table, summarise, to_table
from mlcicd_assets.ml.data.profiles import ColumnProfile, ProfileError, merge, profile_column

integers = st.lists(st.integers(-5, 5), min_size=1, max_size=80)


def test_counts_and_edges_are_exact():
    profile = profile_column(pl.Series("x", [1, 1, 2, None, 3, 3, 3]))
    assert profile.values == (1.0, 2.0, 3.0)
    assert profile.counts == profile.at == (2, 1, 3)
    assert (profile.rows, profile.missing, profile.lowest, profile.mean) == (7, 1, 1.0, pytest.approx(13 / 6))


def test_nan_and_infinity_are_missing():
    profile = profile_column(pl.Series("x", [1.0, float("nan"), float("inf"), None]))
    assert profile.missing == 3
    assert profile.values == (1.0,)


@given(integers, integers)
def test_profiles_of_few_values_add_up_exactly(first, second):
    parts = [profile_column(pl.Series("x", values)) for values in (first, second)]
    whole = profile_column(pl.Series("x", [*first, *second]))
    merged = merge(parts)
    assert merged.values == whole.values
    assert merged.counts == pytest.approx(whole.counts)
    assert merged.mean == pytest.approx(whole.mean)
    assert merged.std == pytest.approx(whole.std, abs=1e-9)


def test_profiles_of_many_values_add_up_nearly():
    rng = np.random.default_rng(0)
    parts = [rng.normal(shift, 1, 3000) for shift in (-1, 0, 2)]
    merged = merge([profile_column(pl.Series("x", part)) for part in parts])
    points = np.linspace(-4, 5, 50)
    exact = np.searchsorted(np.sort(np.concatenate(parts)), points, "right") / 9000
    assert np.abs(merged.cdf(points) - exact).max() < 0.003


@pytest.mark.parametrize("values", [[1.5, None, 2.5], ["a", None, "b"], [True, False, None], []])
def test_json_reads_back(values):
    profile = profile_column(pl.Series("x", values))
    assert ColumnProfile.from_json(profile.to_json()) == profile


def test_what_is_not_a_profile_is_named():
    with pytest.raises(ProfileError, match="materialize its partition again"):
        ColumnProfile.from_json("{}")


def test_a_column_that_changed_its_kind_cannot_be_merged():
    with pytest.raises(ProfileError, match="column 'x' is categorical and numeric"):
        merge([profile_column(pl.Series("x", [1])), profile_column(pl.Series("x", ["a"]))])


def test_statistics_read_back_by_partition_and_column():
    frame = pl.DataFrame({"a": [1.0, None], "b": ["x", "y"]})
    table = pl.concat([to_table(distributions(frame, ["a", "b"]), key) for key in ("2026-01", "2026-02")])
    found = from_table(table)
    assert list(found) == ["2026-01", "2026-02"]
    assert found["2026-02"]["a"] == profile_column(frame["a"])


def test_a_summary_agrees_with_the_full_profile():
    frame = pl.DataFrame({"a": [1.0, None, float("nan"), 4.0], "b": ["x", None, "y", "y"], "c": [1, 2, 3, 4]})
    for name, summary in summarise(frame).items():
        full = profile_column(frame[name])
        assert (summary.missing, summary.rows, summary.mean) == (full.missing, full.rows, full.mean)
        assert summary.std == pytest.approx(full.std) if full.std is not None else summary.std is None
