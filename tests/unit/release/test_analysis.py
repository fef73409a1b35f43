"""One look at a rollout step: harm shows early, health needs evidence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.release.analysis import (
    ALPHA,
    Bins,
    Limits,
    Window,
    analyse,
    binomial_at_least,
    fisher_greater,
    psi,
)

BOUNDS = (1.5, 2.5, 4.5, 9.5, 49.5, 99.5)
LIMITS = Limits(error_rate=0.001, latency_p99_ms=50, p99_ratio=2, psi=0.25, minimum_requests=100)


def window(requests: int = 1000, *, ms: int = 2, **changes: object) -> Window:
    """Healthy traffic; all answers in the bin of `ms`."""
    counts = [0] * (len(BOUNDS) + 1)
    counts[sum(ms > bound for bound in BOUNDS)] = requests
    scores = {"0.1": requests // 2, "0.9": requests - requests // 2}
    made = {"requests": requests, "latency": Bins(bounds=BOUNDS, counts=tuple(counts)), "scores": scores}
    return Window.model_validate({**made, **changes})


def findings(mine: Window, theirs: Window | None, limits: Limits = LIMITS) -> dict[str, str]:
    return {one.name: one.outcome for one in analyse(mine, theirs, limits).findings}


def test_a_healthy_canary_passes() -> None:
    analysis = analyse(window(200), window(1800), LIMITS)

    assert analysis.outcome == "passed"
    assert analysis.reason == ""
    assert (analysis.requests, analysis.reference_requests) == (200, 1800)


def test_ten_failures_of_ten_are_enough_to_fail() -> None:
    analysis = analyse(window(10, faults=10), window(90), LIMITS)

    assert analysis.outcome == "failed"
    assert "10 of 10 requests" in analysis.reason


def test_too_few_requests_are_inconclusive_and_say_how_many_there_were() -> None:
    analysis = analyse(window(12), window(90), LIMITS)

    assert analysis.outcome == "inconclusive"
    assert "12 requests of 100" in analysis.reason


def test_no_traffic_at_all_is_inconclusive_not_healthy() -> None:
    assert analyse(Window(), Window(), LIMITS).outcome == "inconclusive"


def test_one_error_in_a_hundred_proves_nothing_about_one_in_a_thousand() -> None:
    assert findings(window(100, faults=1), window(900))["error_rate"] == "inconclusive"


def test_errors_that_the_champion_has_as_well_are_not_the_canarys() -> None:
    mine, theirs = window(1000, faults=50), window(9000, faults=450)

    assert findings(mine, theirs, Limits())["errors_against_champion"] == "passed"


def test_more_errors_than_the_champion_fail_without_any_declared_limit() -> None:
    mine, theirs = window(1000, faults=30), window(9000, faults=20)

    assert findings(mine, theirs, Limits())["errors_against_champion"] == "failed"


def test_rejecting_what_the_champion_takes_fails() -> None:
    assert findings(window(200, rejected=100), window(1800))["rejected_against_champion"] == "failed"


def test_a_slow_canary_fails_by_limit_and_by_ratio() -> None:
    found = findings(window(200, ms=80), window(1800))

    assert found["latency_p99_ms"] == "failed"
    assert found["p99_ratio"] == "failed"


def test_a_slow_pair_of_both_fails_the_limit_alone() -> None:
    found = findings(window(200, ms=80), window(1800, ms=80))

    assert (found["latency_p99_ms"], found["p99_ratio"]) == ("failed", "passed")


def test_constant_scores_fail() -> None:
    assert findings(window(200, scores={"0.1": 200}), window(1800))["psi"] == "failed"


def test_scores_are_not_compared_where_there_are_none() -> None:
    assert findings(window(200, scores={}), window(1800))["psi"] == "inconclusive"


def test_memory_is_a_level() -> None:
    limits = Limits(memory_mb=500)

    assert findings(window(200, memory_mb=700), None, limits)["memory_mb"] == "failed"
    assert findings(window(200, memory_mb=300), None, limits)["memory_mb"] == "passed"
    assert findings(window(200), None, limits)["memory_mb"] == "inconclusive"


@given(st.integers(1, 400), st.floats(0.001, 0.5), st.data())
def test_the_binomial_tail_is_scipys(trials: int, share: float, data: st.DataObject) -> None:
    from scipy.stats import binom

    hits = data.draw(st.integers(0, trials))
    expected = float(binom.sf(hits - 1, trials, share))

    found = binomial_at_least(hits, trials, share)

    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12) if hits > share * trials else found == 1


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_fishers_test_is_scipys(trials: int, others: int, data: st.DataObject) -> None:
    from scipy.stats import fisher_exact

    hits, theirs = data.draw(st.integers(0, trials)), data.draw(st.integers(0, others))
    table = [[hits, trials - hits], [theirs, others - theirs]]
    expected = fisher_exact(table, alternative="greater").pvalue

    found = fisher_greater(hits, trials, theirs, others)

    above = hits * others > theirs * trials
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-12) if above else found == 1


def test_equal_versions_are_rarely_called_different() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    pairs = zip(rng.binomial(200, 0.05, 4000), rng.binomial(1800, 0.05, 4000), strict=True)

    alarms = sum(fisher_greater(int(a), 200, int(b), 1800) < ALPHA for a, b in pairs)

    assert alarms <= 4000 * ALPHA * 3


def test_two_samples_of_one_distribution_keep_the_psi_limit() -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    for _ in range(200):
        mine, theirs = (np.histogram(rng.beta(1, 9, n), bins=20, range=(0, 1))[0] for n in (150, 1500))
        scores = [{f"{place:02}": int(count) for place, count in enumerate(side)} for side in (mine, theirs)]
        found = findings(window(150, scores=scores[0]), window(1500, scores=scores[1]))
        assert found["psi"] == "passed"


def test_psi_of_the_same_is_nothing() -> None:
    assert psi({"a": 10, "b": 30}, {"a": 20, "b": 60}) == pytest.approx(0)
