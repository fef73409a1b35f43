"""What a window's numbers come to: ok, violated, or openly not known."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.target import Target
from mlcicd_assets.ml.monitoring.declaration import Monitor, PerformanceRule
from mlcicd_assets.ml.monitoring.drifted import feature_drift, score_drift
from mlcicd_assets.ml.monitoring.late_labels import TRUTH, Labelled
from mlcicd_assets.ml.monitoring.performance import Watched, against_champion, labels_signal, performance
from mlcicd_assets.ml.monitoring.signals import Signal, judged
from mlcicd_assets.ml.monitoring.windows import Span
from mlcicd_assets.ml.thresholds import Bound

BLANK = Signal("2026-04-09T00:00", 1, "", "waiting")
THURSDAY = Span(datetime(2026, 4, 9, tzinfo=UTC), datetime(2026, 4, 10, tzinfo=UTC))
WATCHED = Watched(Target("binary"), ChampionRule(metric="roc_auc"), "roc_auc")


def labelled(signal: float, rows: int = 600, of: int | None = None, seed: int = 0) -> Labelled:
    """Rows whose scores say more about the label, the larger the signal is."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < 0.3).astype(np.int8)
    score = 1 / (1 + np.exp(-(rng.normal(0, 1, rows) + signal * (truth - 0.5))))
    keys = [str(n) for n in range(rows)]
    frame = pl.DataFrame({"_id": keys, "score": score, TRUTH: pl.Series(truth)})
    return Labelled(frame, of or rows)


def judge(
    found: Labelled, monitor: Monitor | None = None, evaluated: float | None = 0.9, **rule: Any
) -> Signal:
    how = monitor or Monitor()
    came = labels_signal(how, BLANK, found, open_=True)
    return performance(how, PerformanceRule(**rule), WATCHED, BLANK, found, came, evaluated)


def test_performance_that_keeps_its_bound_is_ok() -> None:
    found = judge(labelled(3.0))

    assert (found.state, found.bound) == ("ok", ">= 0.72")
    assert found.low is not None
    assert found.value is not None
    assert found.low < found.value


def test_performance_wholly_below_its_bound_is_violated_and_says_by_what() -> None:
    found = judge(labelled(0.0))

    assert found.state == "violated"
    assert "roc_auc" in found.reason
    assert "must be >= 0.72" in found.reason


def test_an_interval_across_the_bound_is_not_enough_evidence_unless_the_estimate_decides() -> None:
    few = labelled(1.0, rows=120)
    bound = f">= {(judge(few).value or 0) + 0.01:.4f}"

    assert judge(few, bound=bound).state == "not enough evidence"
    assert judge(few, bound=bound, decide_on="estimate").state == "violated"


@pytest.mark.parametrize(
    ("made", "state", "said"),
    [
        (lambda: labelled(3.0, rows=90, of=100), "not enough evidence", "90 labelled rows; 100 are needed"),
        (lambda: labelled(3.0, rows=300, of=1000), "waiting", "300 of 1000 labels have come (30%)"),
        (lambda: Labelled(labelled(3.0).frame.clear(), 0), "not enough evidence", "nothing was predicted"),
    ],
)
def test_too_few_labels_are_no_verdict(made: Callable[[], Labelled], state: str, said: str) -> None:
    found = judge(made())

    assert found.state == state
    assert said in found.reason
    assert found.value is None


def test_when_patience_is_over_waiting_ends() -> None:
    came = labels_signal(Monitor(), BLANK, labelled(3.0, rows=300, of=1000), open_=False)

    assert came.state == "not enough evidence"
    assert "patience" in came.reason


def test_one_class_alone_defines_no_ranking() -> None:
    found = labelled(3.0)
    same = Labelled(found.frame.with_columns(pl.lit(0, dtype=pl.Int8).alias(TRUTH)), found.rows)

    assert judge(same).state == "not enough evidence"


def test_without_an_evaluation_only_a_declared_bound_judges() -> None:
    assert judge(labelled(3.0), evaluated=None).state == "not enough evidence"
    assert judge(labelled(3.0), evaluated=None, bound=">= 0.6").state == "ok"


def test_a_shadow_is_compared_on_the_records_that_both_answered() -> None:
    champion, shadow = labelled(0.5), labelled(0.5)
    better = shadow.frame.with_columns(score=pl.col("score") * 0.2 + pl.col(TRUTH) * 0.6)
    found = against_champion(WATCHED, BLANK, Labelled(better[50:], 550), champion, ["_id"], 100)

    assert (found.state, found.rows) == ("ok", 550)
    assert found.low is not None
    assert found.low > 0
    few = against_champion(WATCHED, BLANK, Labelled(better[:50], 50), champion, ["_id"], 100)
    assert few.state == "not enough evidence"


# -- drift ----------------------------------------------------------------------------------------------


def scores(shift: float = 0.0, rows: int = 2_000, seed: int = 1) -> pl.DataFrame:
    return pl.DataFrame({"score": np.random.default_rng(seed).normal(shift, 1, rows)})


def test_scores_that_moved_are_violated_with_both_distributions_kept() -> None:
    found = score_drift(Monitor(), BLANK, scores(), scores(1.0, seed=2))

    assert found.state == "violated"
    assert len(found.evidence["scores"]["window"]) == 20
    assert score_drift(Monitor(), BLANK, scores(), scores(seed=2)).state == "ok"


def test_too_few_rows_are_no_drift() -> None:
    found = score_drift(Monitor(), BLANK, scores(), scores(3.0, rows=50))

    assert found.state == "not enough evidence"
    assert "50 rows" in found.reason
    assert found.value is None


def _days(rows: int) -> pl.DataFrame:
    """Two weeks of a feature that is each row's weekday, and one that is chance."""
    day = np.arange(rows) % 14
    times = pl.Series(np.datetime64("2026-03-30T12:00", "us") + day.astype("timedelta64[D]"))
    chance = np.random.default_rng(0).normal(0, 1, rows)
    return pl.DataFrame({"_time": times, "weekday": times.dt.weekday().cast(pl.Float32), "amount": chance})


def test_a_feature_that_follows_the_calendar_is_compared_with_its_own_weekday() -> None:
    reference = _days(5_600)
    today = reference.filter(pl.col("weekday") == 4).drop("_time")
    plain = Monitor(drift={"features": "psi <= 0.2"})
    seasonal = Monitor(
        drift={"features": "psi <= 0.2", "features.weekday": "psi <= 0.2 against same weekday"}
    )
    ignoring = Monitor(drift={"features": "psi <= 0.2"}, ignore=["weekday"])

    assert "weekday" in feature_drift(plain, BLANK, reference, today, THURSDAY).reason
    assert feature_drift(seasonal, BLANK, reference, today, THURSDAY).state == "ok"
    assert feature_drift(ignoring, BLANK, reference, today, THURSDAY).state == "ok"


def test_a_feature_without_a_reference_is_named() -> None:
    found = feature_drift(Monitor(), BLANK, _days(500).select("_time"), _days(500).select("amount"), THURSDAY)

    assert found.state == "not enough evidence"
    assert "amount" in found.reason


# -- bounds and declarations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "low", "high", "state"),
    [(0.6, 0.5, 0.7, "ok"), (0.4, 0.3, 0.45, "violated"), (0.4, 0.3, 0.55, "not enough evidence")],
)
def test_an_interval_decides(value: float, low: float, high: float, state: str) -> None:
    one = Signal("w", 1, "performance", "waiting", value, low, high)

    assert judged(one, Bound(">=", 0.5), decide_on="interval").state == state


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"window": "7h"}, "a window divides a day"),
        ({"drift": {"score": "psi <= 0.2"}}, "drift is of scores, features or features.NAME"),
        ({"drift": {"scores": "psi <= 0.2 against last 3"}}, "the reference is chosen by 'reference'"),
        ({"drift": {"features": "psi >= 0.2"}}, "drift reads like"),
        ({"performance": {"bound": ">= 0.4", "drop": 0.1}}, "not both"),
        ({"violations": {"needed": 3, "of": 2}}, "needed is at most of"),
        ({"windows": "1d"}, "Extra inputs"),
    ],
)
def test_a_declaration_that_means_nothing_says_what_is_expected(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Monitor.model_validate(declared)


@pytest.mark.parametrize(
    ("evaluated", "more", "bound"),
    [(0.5, True, ">= 0.4"), (0.754435, True, ">= 0.6035"), (10.0, False, "<= 12"), (-0.5, True, ">= -0.6")],
)
def test_a_drop_is_a_share_of_what_was_evaluated(evaluated: float, more: bool, bound: str) -> None:
    assert str(PerformanceRule().limit(evaluated, more_is_better=more)) == bound
