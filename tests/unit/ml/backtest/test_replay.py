"""Replaying gates: nobody knows the future, and an alarm rate counts verdicts only."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.backtest.bounds import parse_what_if, rejudged, suggestions, with_check
from mlcicd_assets.ml.backtest.data_replay import DataReplay, judge
from mlcicd_assets.ml.backtest.replay import (
    BacktestError,
    Finding,
    Outcome,
    RuleHistory,
    Span,
    Strain,
    histories,
    rule_named,
)
from mlcicd_assets.ml.data.contracts import ContractReport, RuleFailure
from mlcicd_assets.ml.data.profiles import ColumnProfile
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.thresholds import Bound

MONTHS = [f"2026-{month:02d}" for month in range(1, 9)]


def dataset(**changes: Any) -> DatasetDeclaration:
    declared = {
        "name": "sales",
        "owner": "team:shop",
        "partitions": "monthly",
        "start": "2026-01-01",
        "source": {"files": "landing/{partition}.csv"},
        "contract": "dataset.py:Sales",
        "features": "features.py:features",
        "checks": {"row_count": "within 4 sigma", "positive_share": ">= 0.1"},
        "minimum_history": 3,
    }
    return DatasetDeclaration.model_validate({**declared, **changes})


def replayed(rows: Sequence[int], refused: Mapping[str, str] | None = None) -> DataReplay:
    """Months with so many rows; those refused broke a hard rule."""
    found = DataReplay(refused=dict(refused or {}))
    for month, count in zip(MONTHS, rows, strict=False):
        found.keys.append(month)
        broken = RuleFailure("in_range", "amount", "hard", 5, 0.05, [], "5 are out of range")
        failures = [broken] if month in found.refused else []
        found.reports[month] = ContractReport(count, 3, failures)
        if month not in found.refused:
            found.records[month] = {"amount": ColumnProfile("amount", "Int64", "numeric", count)}
            label = ColumnProfile("_label", "Int8", "numeric", count, mean=0.2, std=0.4)
            found.features[month] = {"_label": label}
    return found


def outcomes(findings: Sequence[Finding], rule: str) -> list[str]:
    return [finding.outcome for finding in rule_named(histories(findings), rule).findings]


def test_the_first_partitions_are_cold_starts_and_a_jump_fails_when_it_comes():
    found = judge(dataset(), replayed([600, 610, 590, 605, 900, 600]), MONTHS[:6])
    assert outcomes(found, "row_count") == ["cold start"] * 3 + ["passed", "failed", "passed"]


@given(st.lists(st.integers(1, 2000), min_size=4, max_size=8), st.data())
def test_what_comes_later_changes_nothing_of_what_was_said_before(rows: list[int], data: st.DataObject):
    cut = data.draw(st.integers(1, len(rows) - 1))
    other = data.draw(st.lists(st.integers(1, 2000), min_size=len(rows) - cut, max_size=len(rows) - cut))
    before = MONTHS[:cut]
    assert judge(dataset(), replayed(rows), before) == judge(
        dataset(), replayed([*rows[:cut], *other]), before
    )


def test_judging_a_few_keeps_all_earlier_partitions_as_history():
    rows = replayed([600, 610, 590, 605, 900, 600])
    every = judge(dataset(), rows, MONTHS[:6])
    assert judge(dataset(), rows, ["2026-05"]) == [one for one in every if one.partition == "2026-05"]


def test_a_refused_partition_is_no_history_and_is_not_judged_further():
    found = judge(dataset(), replayed([600, 9, 610, 590, 605], {"2026-02": "broken"}), MONTHS[:5])
    assert outcomes(found, "contract") == ["passed", "failed", "passed", "passed", "passed"]
    assert outcomes(found, "amount.in_range")[1] == "failed"
    assert outcomes(found, "row_count") == ["cold start", "not reached", "cold start", "cold start", "passed"]
    unreached = [one for one in found if one.rule == "row_count" and one.outcome == "not reached"]
    assert unreached[0].reason == "broken"


def test_a_hard_check_keeps_a_partition_from_its_features():
    rows = replayed([600, 610, 590, 605, 900, 600])
    soft = judge(dataset(), rows, MONTHS[:6])
    hard = judge(dataset(hard_checks=["row_count"]), rows, MONTHS[:6])
    assert outcomes(soft, "positive_share") == ["passed"] * 6
    assert outcomes(hard, "positive_share") == [*["passed"] * 4, "not reached", "passed"]


def test_a_planned_exception_is_no_alarm():
    planned = {"from": "2026-05-01", "to": "2026-05-31", "checks": ["row_count"], "reason": "festival"}
    found = histories(judge(dataset(exceptions=[planned]), replayed([600, 610, 590, 605, 900]), MONTHS[:5]))
    history = rule_named(found, "row_count")
    assert (history.evaluated, history.excused, history.failed, history.alarm_rate) == (2, 1, (), 0.0)


def history(*outcomes: Outcome) -> RuleHistory:
    found = (Finding("rule", month, one, 1.0, "", "") for month, one in zip(MONTHS, outcomes, strict=False))
    return RuleHistory("rule", tuple(found))


def test_an_alarm_rate_leaves_cold_starts_out():
    seen = history("cold start", "not enough evidence", "not reached", "failed", "passed", "passed", "failed")
    assert (seen.evaluated, seen.cold_starts, seen.not_reached) == (4, 2, 1)
    assert seen.failed == ("2026-04", "2026-07")
    assert seen.alarm_rate == 0.5
    assert history("cold start").alarm_rate is None


@pytest.mark.parametrize(
    ("span", "chosen"),
    [
        (Span(), MONTHS),
        (Span("2026-03", "2026-05"), ["2026-03", "2026-04", "2026-05"]),
        (Span("2026-02", None, 3), ["2026-02", "2026-05", "2026-08"]),
    ],
)
def test_a_span_chooses_partitions(span: Span, chosen: list[str]):
    assert span.choose(MONTHS) == chosen


def test_a_span_without_partitions_says_what_is_stored():
    with pytest.raises(BacktestError, match="stored are 2026-01 to 2026-08"):
        Span("2027-01").choose(MONTHS)


@given(
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60),
    st.sampled_from(["<= {}", ">= {}"]),
    st.sampled_from([0.0, 0.01, 0.05, 0.3]),
)
def test_a_suggested_bound_alarms_at_most_as_often_as_asked(values: list[float], form: str, rate: float):
    seen = RuleHistory(
        "rule",
        tuple(Finding("rule", str(i), "passed", v, "", "", (Strain(form, v),)) for i, v in enumerate(values)),
    )
    (proposed,) = suggestions(seen, [rate])
    bound = Bound.parse(proposed.bound)
    beyond = sum(not bound.admits(value) for value in values)
    assert beyond == proposed.failed
    assert proposed.alarm_rate <= rate


def test_suggestions_leave_out_what_had_no_verdict():
    seen = history("cold start", "passed", "passed")
    values = (5.0, 1.0, 2.0)
    strained = tuple(
        replace(one, strains=(Strain("<= {}", value),))
        for one, value in zip(seen.findings, values, strict=True)
    )
    assert [one.bound for one in suggestions(RuleHistory("rule", strained), [0.0])] == ["<= 2"]


def test_another_bound_judges_the_same_values_and_leaves_cold_starts():
    other = rejudged(history("cold start", "passed", "failed"), "<= 0.5")
    assert [one.outcome for one in other.findings] == ["cold start", "failed", "failed"]
    with pytest.raises(BacktestError, match="a bound reads like"):
        rejudged(history("passed"), "about 3")


@pytest.mark.parametrize(
    ("declared", "asked", "line"),
    [
        ("ks <= 0.1 against last 3", "psi <= 0.2", "psi <= 0.2 against last 3"),
        ("ks <= 0.1 against last 3", "psi <= 0.2 against first 4", "psi <= 0.2 against first 4"),
    ],
)
def test_a_line_keeps_its_window_unless_told_otherwise(declared: str, asked: str, line: str):
    changed = with_check(dataset(checks={"drift": declared}), "drift", asked)
    assert changed.checks["drift"] == line


def test_sigmas_keep_their_season():
    declared = dataset(checks={"row_count": "within 4 sigma of same month"})
    changed = with_check(declared, "row_count", "within 2 sigma")
    assert changed.checks["row_count"] == "within 2 sigma of same month"
    with pytest.raises(BacktestError, match="drift reads like"):
        with_check(dataset(), "drift", "much")


def test_a_what_if_reads_like_a_declared_line():
    assert parse_what_if("roc_auc: >= 0.70") == ("roc_auc", ">= 0.70")
    with pytest.raises(BacktestError, match="reads like"):
        parse_what_if("roc_auc")
