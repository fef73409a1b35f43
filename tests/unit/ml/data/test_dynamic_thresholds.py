import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.catalogue import DeclarationError, load_file
from mlcicd_assets.ml.data.dynamic_thresholds import Rule, count_noise, judge, robust
from mlcicd_assets.ml.data.seasons import Window, covers
from mlcicd_assets.ml.watches import Watches

DAYS = [f"2026-01-{day:02d}" for day in range(1, 32)]


def judged(text, value, history, **options):
    return judge(Rule.parse(text), "row_count", "2026-02-01", value, history, noise=count_noise, **options)


def usual(*values):
    return {f"2026-01-{day:02d}": float(value) for day, value in enumerate(values, 1)}


def test_the_band_says_what_it_was_made_of():
    one = judged("within 4 sigma", 1010, usual(1000, 1010, 990, 1005, 995))
    assert one.outcome == "passed"
    assert one.limits.median == 1000
    assert one.limits.mad == 5
    assert one.limits.sigma == pytest.approx(1000**0.5)  # never less than chance
    assert one.limits.history == tuple(usual(1, 2, 3, 4, 5))
    assert "median 1000" in one.reason


@pytest.mark.parametrize(("value", "said"), [(700, "700 is below"), (1300, "1300 is above")])
def test_what_is_beyond_fails(value, said):
    one = judged("within 4 sigma", value, usual(1000, 1010, 990, 1005, 995))
    assert one.outcome == "failed"
    assert said in one.reason


def test_one_outlier_in_history_does_not_widen_the_band():
    calm, wild = usual(*[1000] * 9), usual(*[1000] * 8, 90_000)
    assert judged("within 4 sigma", 1500, calm).limits.high == pytest.approx(
        judged("within 4 sigma", 1500, wild).limits.high
    )


def test_a_cold_start_passes_visibly_but_fixed_bounds_hold_from_the_first_day():
    assert judged("within 4 sigma", 3, usual(1000)).outcome == "cold start"
    assert judged(">= 10 and within 4 sigma", 3, usual(1000)).outcome == "failed"


def test_a_planned_exception_is_recorded_as_used_only_where_it_was_needed():
    history = usual(1000, 1010, 990, 1005, 995)
    used = judged("within 4 sigma", 3000, history, excused="festival")
    assert (used.outcome, used.holds) == ("excused", True)
    assert "as planned: festival" in used.reason
    assert judged("within 4 sigma", 1000, history, excused="festival").outcome == "passed"


def test_what_is_harmless_passes_however_unusual():
    one = judged("within 4 sigma or <= 2000", 1500, usual(1000, 1010, 990, 1005, 995))
    assert one.outcome == "passed"
    assert "<= 2000 is enough" in one.reason


def test_no_value_is_no_evidence():
    assert judged("within 4 sigma", float("nan"), {}).outcome == "not enough evidence"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_robust_statistics_ignore_order(values):
    assert robust(values) == robust(sorted(values, reverse=True))


@pytest.mark.parametrize(
    ("text", "key", "chosen"),
    [
        ("last 3", "2026-01-10", ["2026-01-07", "2026-01-08", "2026-01-09"]),
        ("last 2 of same weekday", "2026-01-29", ["2026-01-15", "2026-01-22"]),
        ("first 2", "2026-01-10", ["2026-01-01", "2026-01-02"]),
        ("2026-01-03 to 2026-01-04", "2026-01-10", ["2026-01-03", "2026-01-04"]),
        ("last 5", "2026-01-01", []),
    ],
)
def test_a_window_chooses_earlier_partitions(text, key, chosen):
    assert Window.parse(text).choose("daily", key, DAYS) == chosen


def test_a_month_is_compared_with_the_same_month_of_earlier_years():
    months = [f"{year}-{month:02d}" for year in (2024, 2025, 2026) for month in range(1, 13)]
    assert Window.parse("same month").choose("monthly", "2026-03", months) == ["2024-03", "2025-03"]


def test_an_exception_covers_a_month_that_has_one_of_its_days():
    from datetime import date

    assert covers(date(2026, 5, 30), date(2026, 6, 6), "monthly", "2026-05")
    assert covers(date(2026, 5, 30), date(2026, 6, 6), "daily", "2026-06-06")
    assert not covers(date(2026, 5, 30), date(2026, 6, 6), "daily", "2026-06-07")


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ({"rows": ">= 1"}, "there is no check 'rows'; a check is one of: row_count"),
        ({"row_count.x": ">= 1"}, "there is no check 'row_count.x'"),
        ({"mean": "within 4 sigma"}, "there is no check 'mean'"),
        ({"row_count": "about 1000"}, "row_count: a rule reads like '>= 1000'"),
        ({"row_count": "within 4 sigma of same moon"}, "row_count: earlier partitions are chosen like"),
        ({"row_count": "within 4 sigma and within 5 sigma"}, "one 'within"),
        ({"drift": "<= 0.2"}, "drift: drift reads like 'psi <= 0.2'"),
        ({"drift": "psi >= 0.2"}, "drift: drift reads like 'psi <= 0.2'"),
        ({"schema": "same"}, "schema: schema reads 'unchanged'"),
    ],
)
def test_a_mistake_is_told_in_plain_words(checks, message):
    with pytest.raises(ValueError, match=message.replace("(", "\\(")):
        Watches.parse(checks)


DATASET = """
type: mlcicd_assets.Dataset
attributes:
  name: sales
  owner: team:shop
  partitions: daily
  start: "2026-01-01"
  source: {files: "landing/sales/{partition}.csv"}
  contract: dataset.py:Sales
  checks: {row_count: within 4 sigma}
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  hard_checks: [rows]", "(row_count), not 'rows'"),
        ("  exceptions: [{from: 2026-01-02, to: 2026-01-01, checks: [row_count], reason: x}]", "ends after"),
        ("  exceptions: [{from: 2026-01-01, to: 2026-01-02, checks: [drift], reason: x}]", "not 'drift'"),
        ("  exceptions: [{from: 2026-01-01, to: 2026-01-02, checks: [row_count]}]", "reason"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path, line, message):
    path = tmp_path / "defs.yaml"
    path.write_text(DATASET + line)
    with pytest.raises(DeclarationError) as caught:
        load_file(path)
    assert message in str(caught.value)


def test_drift_needs_features(tmp_path):
    path = tmp_path / "defs.yaml"
    path.write_text(DATASET.replace("row_count: within 4 sigma", "drift: psi <= 0.2"))
    with pytest.raises(DeclarationError, match="drift needs 'features'"):
        load_file(path)
