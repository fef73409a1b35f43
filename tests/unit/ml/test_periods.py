from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.periods import FORMATS, end_of, overlapping, start_of


@pytest.mark.parametrize(
    ("partitions", "key", "start", "end"),
    [
        ("monthly", "2013-12", datetime(2013, 12, 1), datetime(2014, 1, 1)),
        ("monthly", "2024-02", datetime(2024, 2, 1), datetime(2024, 3, 1)),
        ("daily", "2026-01-31", datetime(2026, 1, 31), datetime(2026, 2, 1)),
        ("weekly", "2026-01-04", datetime(2026, 1, 4), datetime(2026, 1, 11)),
        ("hourly", "2026-01-31-23:00", datetime(2026, 1, 31, 23), datetime(2026, 2, 1)),
    ],
)
def test_a_key_spans_its_period(partitions, key, start, end):
    assert (start_of(partitions, key), end_of(partitions, key)) == (start, end)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["hourly", "daily", "monthly"])
)
def test_periods_follow_each_other_without_gap(moment, partitions):
    key = moment.strftime(FORMATS[partitions]).replace(moment.strftime(":%M"), ":00")
    following = end_of(partitions, key).strftime(FORMATS[partitions])
    assert end_of(partitions, key) == start_of(partitions, following)


def test_overlapping_takes_partitions_that_touch_the_window():
    keys = ["2013-04", "2013-01", "2013-02", "2013-03"]
    found = overlapping("monthly", keys, datetime(2013, 2, 1), datetime(2013, 3, 15))
    assert found == ["2013-02", "2013-03"]
