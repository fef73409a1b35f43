from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.thresholds import Bound, parse_duration


@pytest.mark.parametrize(
    ("text", "value", "admitted"),
    [
        (">= 0.5", 0.5, True),
        ("> 0.5", 0.5, False),
        ("<= 1e-3", 0.001, True),
        ("<-2", -3, True),
        (">=1", 0.99, False),
    ],
)
def test_a_bound_admits(text, value, admitted):
    assert Bound.parse(text).admits(value) is admitted


@pytest.mark.parametrize("sign", [">=", "<=", ">", "<"])
def test_no_bound_admits_nan(sign):
    assert not Bound.parse(f"{sign} 0.5").admits(float("nan"))


@given(st.sampled_from([">=", "<=", ">", "<"]), st.floats(-1e6, 1e6).map(lambda value: round(value, 3)))
def test_a_bound_reads_what_it_writes(sign, limit):
    bound = Bound.parse(f"{sign} {limit}")
    again = Bound.parse(str(bound))
    assert again.sign == sign
    assert again.limit == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("text", ["0.5", "=> 0.5", ">= half", ">= 0.5 %", "", ">= nan"])
def test_nonsense_is_no_bound(text):
    with pytest.raises(ValueError, match="a bound reads like"):
        Bound.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("60d", timedelta(days=60)),
        ("2w", timedelta(14)),
    ],
)
def test_durations(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["60", "60 days", "-1d", "1.5h", "", "d"])
def test_nonsense_is_no_duration(text):
    with pytest.raises(ValueError, match="a duration reads like"):
        parse_duration(text)
