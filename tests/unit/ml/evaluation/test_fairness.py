"""Fairness: Fairlearn's numbers, intervals that hold, and gates that fail closed."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mlcicd_assets.ml.evaluation.fairness import (
    Disparity,
    FairnessEvidence,
    explain,
    fairness_gates,
    measure_fairness,
    values,
)
from mlcicd_assets.ml.evaluation.plans import FairnessPlan
from mlcicd_assets.ml.evaluation.proportions import critical, difference, ratio, wilson

Z = critical(0.95)


def grouped(**groups: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray, pl.DataFrame]:
    """Truth, answers and a column of groups from counts of (hits, misses, false alarms, rightly quiet)."""
    rows = [
        (name, truth, answer)
        for name, counts in groups.items()
        for (truth, answer), count in zip([(1, 1), (1, 0), (0, 1), (0, 0)], counts, strict=True)
        for _ in range(count)
    ]
    table = pl.DataFrame(rows, schema=["group", "truth", "answer"], orient="row")
    return table["truth"].to_numpy(), table["answer"].to_numpy(), table.select("group")


def disparity(section: FairnessEvidence, gate: str) -> Disparity:
    return next(one for one in section.disparities if one.gate == gate)


@st.composite
def samples(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, pl.DataFrame]:
    rows = draw(st.integers(20, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = rng.integers(0, draw(st.integers(2, 4)), rows)
    truth, answers = rng.integers(0, 2, rows), rng.integers(0, 2, rows)
    return truth, answers, pl.DataFrame({"group": [f"g{group}" for group in groups]})


@settings(max_examples=25, deadline=None)
@given(samples())
def test_gaps_and_ratios_are_fairlearns_row_by_row(sample: tuple[Any, Any, pl.DataFrame]) -> None:
    from fairlearn import metrics as fairlearn

    truth, answers, protected = sample
    cells = protected.with_columns(truth=truth).group_by("group").agg(pl.col("truth").n_unique(), pl.len())
    assume(cells.height > 1)
    assume((cells["truth"] == 2).all())
    assume((protected.with_columns(t=truth).group_by("group", "t").len()["len"] >= 2).all())
    section = measure_fairness(truth, answers, protected, plan=FairnessPlan(minimum=2))
    known = {"sensitive_features": protected["group"].to_numpy()}
    for ours, theirs in (
        ("demographic_parity", "demographic_parity"),
        ("equal_opportunity", "equal_opportunity"),
        ("equalised_odds", "equalized_odds"),
    ):
        gap = getattr(fairlearn, f"{theirs}_difference")(truth, answers, **known)
        assert values(section)[f"{ours}_gap"] == pytest.approx(gap)
        share = values(section)[f"{ours}_ratio"]
        if share is not None:
            expected = getattr(fairlearn, f"{theirs}_ratio")(truth, answers, **known)
            assert share == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(samples(), st.integers(0, 2**32 - 1), st.sampled_from(["binary", "multiclass", "regression"]))
def test_the_order_of_rows_is_immaterial(sample: tuple[Any, Any, pl.DataFrame], seed: int, task: Any) -> None:
    truth, answers, protected = sample
    order = np.random.default_rng(seed).permutation(len(truth))
    plan = FairnessPlan(minimum=2)
    straight = measure_fairness(truth, answers, protected, task=task, plan=plan)
    assert measure_fairness(truth[order], answers[order], protected[order], task=task, plan=plan) == straight


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_an_estimate_lies_within_its_limits(data: st.DataObject) -> None:
    groups = data.draw(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.tuples(*[st.integers(2, 40)] * 2, *[st.integers(0, 40)] * 2),
            min_size=2,
        )
    )
    section = measure_fairness(*grouped(**groups), plan=FairnessPlan(minimum=2))
    for one in section.disparities:
        if one.value is not None and one.low is not None and one.high is not None:
            assert 0 <= one.low <= one.value <= one.high + 1e-12
            assert one.high <= 1 or one.gate.endswith("_gap")


def test_intervals_are_those_of_the_literature() -> None:
    one, other = wilson(56, 70, Z), wilson(48, 80, Z)
    assert (one.low, one.high) == pytest.approx(proportion_confint(56, 70, method="wilson"))
    # Newcombe's own example (1998, table II, a): 0.0524 to 0.3339
    between = difference(one, other)
    assert (between.low, between.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    expected = confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff")
    assert (between.low, between.high) == pytest.approx(expected)


def test_the_interval_of_a_ratio_agrees_with_the_score_method() -> None:
    found = ratio(wilson(56, 70, Z), wilson(48, 80, Z))
    expected = confint_proportions_2indep(56, 70, 48, 80, method="score", compare="ratio")
    assert (found.low, found.high) == pytest.approx(expected, rel=0.03)


def test_no_false_certainty_at_the_ends() -> None:
    """Five of five and five of five: a bootstrap would say 0 to 0."""
    found = difference(wilson(5, 5, Z), wilson(5, 5, Z))
    assert found.high > 0.4
    assert ratio(wilson(0, 40, Z), wilson(10, 40, Z)).low == 0.0


def test_a_planted_gap_is_found_and_named() -> None:
    fair = grouped(young=(80, 20, 10, 390), old=(79, 21, 10, 390))
    unfair = grouped(young=(90, 10, 10, 390), old=(50, 50, 10, 390))
    gap = values(measure_fairness(*unfair))["equal_opportunity_gap"]
    assert gap == pytest.approx(0.4)
    assert disparity(measure_fairness(*unfair), "equal_opportunity_gap").low > 0.2  # type: ignore[operator]
    assert disparity(measure_fairness(*fair), "equal_opportunity_gap").low == 0.0
    said = explain(measure_fairness(*unfair), "equal_opportunity_gap")
    assert "lowest old (true positive rate 0.5 of 100 positives)" in said
    assert "95% interval" in said


def test_the_interval_covers_the_true_gap() -> None:
    """Simultaneous over pairs: at least as often as it says, although the extreme groups are chosen."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        hits = rng.binomial(60, [0.5, 0.6, 0.7, 0.6])
        groups = {f"g{n}": (int(hit), 60 - int(hit), 5, 95) for n, hit in enumerate(hits)}
        found = disparity(measure_fairness(*grouped(**groups)), "equal_opportunity_gap")
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.2 <= found.high
    assert covered >= 95


def test_small_groups_are_reported_but_not_counted() -> None:
    section = measure_fairness(
        *grouped(young=(30, 10, 5, 95), old=(30, 10, 5, 95), unknown=(0, 29, 0, 100)),
        plan=FairnessPlan(minimum=30),
    )
    assert values(section)["equal_opportunity_gap"] == 0.0
    rate = next(group for group in section.groups if group.value == "unknown").rates["true_positive_rate"]
    assert (rate.value, rate.of, rate.counted) == (0.0, 29, False)
    assert "too small to count: group=unknown" in explain(section, "equal_opportunity_gap")
    # By the metric: it has rows enough for the selection rate.
    assert values(section)["demographic_parity_gap"] == pytest.approx(0.25)


def test_missing_evidence_is_no_value_and_says_what_is_missing() -> None:
    section = measure_fairness(*grouped(young=(5, 3, 10, 400), old=(40, 10, 10, 400)))
    assert values(section)["equal_opportunity_gap"] is None
    assert values(section)["equalised_odds_gap"] is None
    assert values(section)["demographic_parity_gap"] is not None
    said = explain(section, "equal_opportunity_gap")
    assert "two groups need 30 positives (there are old: 50, young: 8)" in said
    assert "no protected columns" in explain(None, "equal_opportunity_gap")


def test_one_column_without_evidence_is_enough_to_miss_it() -> None:
    truth, answers, protected = grouped(young=(40, 10, 10, 400), old=(40, 10, 10, 400))
    both = protected.with_columns(gender=pl.lit("f"))
    assert values(measure_fairness(truth, answers, both))["equal_opportunity_gap"] is None


def test_a_rate_that_is_zero_everywhere_has_no_ratio() -> None:
    section = measure_fairness(*grouped(young=(40, 10, 0, 400), old=(40, 10, 0, 400)))
    assert values(section)["equalised_odds_ratio"] is None
    assert "the false positive rate of every group is 0" in explain(section, "equalised_odds_ratio")
    assert values(section)["equalised_odds_gap"] == 0.0


def test_deciding_on_the_unfavourable_end_is_stricter() -> None:
    sample = grouped(young=(40, 10, 10, 400), old=(35, 15, 10, 400))
    estimate = values(measure_fairness(*sample))
    upper = values(measure_fairness(*sample, plan=FairnessPlan(decide_on="upper")))
    assert upper["equal_opportunity_gap"] > estimate["equal_opportunity_gap"]  # type: ignore[operator]
    assert upper["equal_opportunity_ratio"] < estimate["equal_opportunity_ratio"]  # type: ignore[operator]


def test_intersections_see_what_single_columns_do_not() -> None:
    """Every single group has a recall of 0.5: the harm is in the crossing."""
    parts = {"young f": (0.9, "young", "f"), "young m": (0.1, "young", "m")}
    parts |= {"old f": (0.1, "old", "f"), "old m": (0.9, "old", "m")}
    counts = {name: (round(100 * part[0]), round(100 - 100 * part[0]), 5, 95) for name, part in parts.items()}
    truth, answers, column = grouped(**counts)
    protected = pl.DataFrame(
        {
            "age": [parts[name][1] for name in column["group"]],
            "gender": [parts[name][2] for name in column["group"]],
        }
    )
    assert values(measure_fairness(truth, answers, protected))["equal_opportunity_gap"] == pytest.approx(0.0)
    crossed = FairnessPlan(intersections=[["age", "gender"]])
    section = measure_fairness(truth, answers, protected, plan=crossed)
    assert values(section)["equal_opportunity_gap"] == pytest.approx(0.8)
    assert "age & gender" in explain(section, "equal_opportunity_gap")


def test_an_unknown_intersection_is_named() -> None:
    with pytest.raises(ValueError, match=r"intersections names gender, but .* are group"):
        measure_fairness(*grouped(a=(1, 1, 1, 1)), plan=FairnessPlan(intersections=[["group", "gender"]]))


def test_null_is_a_group_of_its_own() -> None:
    truth, answers, protected = grouped(young=(40, 10, 10, 400), old=(40, 10, 10, 400))
    holey = protected.with_columns(
        pl.when(pl.col("group") == "young").then(None).otherwise("group").alias("group")
    )
    assert [group.value for group in measure_fairness(truth, answers, holey).groups] == ["(missing)", "old"]


def test_other_tasks_have_what_is_defined_and_say_what_is_not() -> None:
    rng = np.random.default_rng(0)
    groups = pl.DataFrame({"group": np.where(np.arange(400) % 2, "a", "b")})
    truth = rng.integers(0, 3, 400)
    answers = np.where((np.arange(400) % 2 == 1) & (np.arange(400) % 4 == 1), (truth + 1) % 3, truth)
    section = measure_fairness(truth, answers, groups, task="multiclass")
    assert set(values(section)) == {"group_accuracy_gap", "group_accuracy_ratio"}
    assert values(section)["group_accuracy_gap"] == pytest.approx(0.5)
    assert "one positive class" in section.undefined
    errors = np.where(np.arange(400) % 2, 3.0, 1.0) * rng.choice([-1.0, 1.0], 400)
    section = measure_fairness(truth.astype(float), truth + errors, groups, task="regression")
    assert values(section)["group_error_gap"] == pytest.approx(2.0)
    assert values(section)["group_error_ratio"] == pytest.approx(1 / 3)
    assert section.undefined


def test_the_evidence_survives_json() -> None:
    section = measure_fairness(*grouped(young=(40, 10, 10, 400), old=(3, 1, 0, 40)))
    assert FairnessEvidence.model_validate_json(section.model_dump_json()) == section
    assert set(fairness_gates("binary")) == {one.gate for one in section.disparities}
