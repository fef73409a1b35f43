"""Readings, and what lies between two of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.traffic import LATENCY_BOUNDS_MS, Histogram, Traffic, increase, quantiles

BOUNDS = np.array(LATENCY_BOUNDS_MS)


def histogram(values: list[float]) -> Histogram:
    places = np.searchsorted(BOUNDS, np.array(values, dtype=float))
    counts = np.bincount(places, minlength=len(BOUNDS) + 1)
    return Histogram(counts=tuple(int(count) for count in counts))


def reading(**changes: object) -> Traffic:
    base = Traffic("m", 1, 0, 0, {}, counted_since="noon", started="noon")
    return replace(base, **changes)  # type: ignore[arg-type]


VALUES = st.lists(st.integers(0, 20_000), min_size=1, max_size=200)


@given(values=VALUES, share=st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bin_of_the_true_one(values: list[float], share: float) -> None:
    found = histogram(values).quantile(share)
    true = float(np.quantile(values, share, method="inverted_cdf"))
    place = int(np.searchsorted(BOUNDS, true))
    assert found is not None
    assert (BOUNDS[place - 1] if place else 0) - 1e-9 <= found <= BOUNDS[place] + 1e-9


@given(values=VALUES, bound=st.sampled_from(LATENCY_BOUNDS_MS[:-1]))
def test_the_share_above_a_bound_is_exact_at_the_bins_edges(values: list[float], bound: float) -> None:
    assert histogram(values).above(bound) == pytest.approx(np.mean(np.array(values) > bound))


@given(first=VALUES, second=VALUES)
def test_what_lies_between_two_readings_is_what_came_in_between(
    first: list[float], second: list[float]
) -> None:
    earlier, later = histogram(first), histogram([*first, *second])
    assert later.since(earlier) == histogram(second)
    assert histogram(first).plus(histogram(second)) == later


def test_nothing_counted_has_no_quantiles() -> None:
    assert quantiles(Histogram()) == {}
    assert Histogram().above(5) is None


def test_counters_are_subtracted() -> None:
    earlier = reading(requests=100, errors=1, failed_attempts=3, mirrored=7, scores={"0.1": 60, "0.9": 40})
    later = reading(
        requests=150,
        errors=1,
        failed_attempts=9,
        mirrored=7,
        scores={"0.1": 60, "0.9": 90},
        non_finite=2,
        latency=histogram([3.0] * 50),
        memory_bytes=5,
    )
    between = increase(earlier, later)
    assert (between.requests, between.errors, between.hidden_errors, between.mirrored) == (50, 0, 6, 0)
    assert (between.scores, between.non_finite, between.memory_bytes) == ({"0.9": 50}, 2, 5)
    assert 2.5 <= between.latency_ms["p50"] <= 3.5
    assert increase(None, later) == later


def test_a_restarted_server_counts_anew_and_the_proxy_goes_on() -> None:
    earlier = reading(requests=100, scores={"0.1": 100}, non_finite=4)
    later = reading(requests=130, scores={"0.1": 120}, non_finite=5, started="one")
    between = increase(earlier, later)
    assert (between.requests, between.scores, between.non_finite) == (30, {"0.1": 120}, 5)


def test_a_restarted_proxy_counts_anew_and_the_server_goes_on() -> None:
    earlier = reading(requests=100, scores={"0.1": 100})
    later = reading(requests=130, scores={"0.1": 150}, counted_since="one")
    between = increase(earlier, later)
    assert (between.requests, between.scores) == (130, {"0.1": 50})


def test_a_server_that_does_not_answer_says_nothing_of_scores() -> None:
    between = increase(reading(requests=10, scores={"0.1": 10}), reading(requests=30, started=""))
    assert (between.requests, between.scores, between.started) == (20, {}, "")


def test_what_users_saw_is_not_hidden() -> None:
    assert reading(errors=3, failed_attempts=10).hidden_errors == 7
    # Without any healthy host nothing is attempted, and users see it all the same.
    assert reading(errors=3, failed_attempts=0).faults == 3
    assert reading(errors=3, failed_attempts=0).hidden_errors == 0
