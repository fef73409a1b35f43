"""The simulated card payments: repeatable by day, right in time, and drifting only when told to."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.defs.payments import simulator, upstream
from mlcicd_assets.defs.payments.features import features
from mlcicd_assets.defs.payments.simulator import Scenario, draw_day
from mlcicd_assets.ml.data.drift import compare_frames
from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule

CALM, TACTICS = Scenario(), Scenario(tactics=True)


def day(number: int, scenario: Scenario = CALM) -> pl.DataFrame:
    return upstream.payments_of(upstream.START + timedelta(number), 0, scenario)


@pytest.fixture(scope="module")
def month() -> pl.DataFrame:
    """Days 40 to 76: enough history for every aggregate of day 76."""
    return pl.concat(day(number).with_columns(day=pl.lit(number)) for number in range(40, 77))


def test_any_day_regenerates_without_the_days_before(month: pl.DataFrame):
    draw_day.cache_clear()

    alone = day(60)

    assert alone.equals(month.filter(pl.col("day") == 60).drop("day"))


def test_another_seed_is_another_town():
    assert not np.array_equal(draw_day(1, CALM, 5).customer, draw_day(0, CALM, 5).customer)


def test_transactions_are_unique_and_in_the_order_of_time(month: pl.DataFrame):
    assert month["transaction_id"].is_unique().all()
    assert month.filter(pl.col("day") == 50)["event_time"].is_sorted()
    assert month.filter(day=50)["event_time"].dt.date().unique().to_list() == [date(2026, 2, 20)]


def test_volume_and_fraud_are_as_described(month: pl.DataFrame):
    per_day = month.group_by("day").len()["len"].mean()

    assert 2_300 < per_day < 3_500
    assert 0.008 < month["is_fraud"].mean() < 0.016
    assert 0.25 < month["online"].mean() < 0.45


def test_labels_arrive_late_but_never_before_the_payment(month: pl.DataFrame):
    delay = (month["label_time"] - month["event_time"]).dt.total_hours() / 24

    assert delay.min() >= 0
    assert delay.max() <= 45
    assert 4 < delay.median() < 6


@pytest.mark.parametrize(("column", "window"), [("payments_1h", "1h"), ("payments_24h", "1d")])
def test_counts_look_back_only(month: pl.DataFrame, column: str, window: str):
    today = month.filter(pl.col("day") == 76).sort(column, descending=True).head(40)

    for row in today.iter_rows(named=True):
        moment = pl.lit(row["event_time"], dtype=pl.Datetime("us"))
        before = (pl.col("event_time") < moment) & (pl.col("event_time") >= moment.dt.offset_by(f"-{window}"))
        same_card = pl.col("customer_id") == row["customer_id"]
        assert row[column] == month.filter(same_card & before).height


def test_amount_is_compared_with_the_days_before(month: pl.DataFrame):
    before = month.filter(pl.col("day").is_between(48, 75))
    means = before.group_by("customer_id").agg(pl.col("amount").mean().alias("mean"))

    today = month.filter(pl.col("day") == 76).join(means, on="customer_id", how="left", maintain_order="left")

    expected = (today["amount"] / today["mean"]).to_list()
    assert today["amount_over_mean"].to_list() == pytest.approx(expected, nan_ok=True)
    assert today["amount_over_mean"].null_count() > 0  # cards without history stay openly unknown


def test_merchant_rate_knows_only_what_was_reported_by_then(month: pl.DataFrame):
    reported = month.filter(pl.col("day").is_between(76 - 35, 76 - 8))
    rates = reported.group_by("merchant_id").agg(pl.col("is_fraud").mean().alias("rate"))

    today = month.filter(pl.col("day") == 76).join(rates, on="merchant_id", how="left", maintain_order="left")

    assert today["merchant_fraud_rate"].to_list() == pytest.approx(today["rate"].to_list())


@pytest.mark.parametrize("name", ["covariate", "concept", "prior", "festival", "tactics", "all"])
def test_nothing_drifts_before_day_90(name: str):
    assert day(89, Scenario.named(name)).equals(day(89))


def test_prices_and_online_share_rise_with_covariate_drift():
    drifted, calm = day(180, Scenario(covariate=True)), day(180)

    assert drifted["amount"].median() > 1.2 * calm["amount"].median()
    assert drifted["online"].mean() > 1.5 * calm["online"].mean()


def test_thieves_hide_with_concept_drift():
    def at_night(scenario: Scenario) -> float:
        days = [draw_day(0, scenario, number) for number in range(155, 175)]
        attacks = np.concatenate([d.seconds[d.fraud & d.online] for d in days])
        return float((attacks % simulator.DAY < 6 * 3600).mean())

    assert at_night(CALM) > 0.7
    assert at_night(Scenario(concept=True)) < 0.35


def test_other_tactics_change_which_payments_are_fraud_and_hardly_what_payments_are_like():
    changed, calm = ([draw_day(0, one, number) for number in range(90, 104)] for one in (TACTICS, CALM))
    made = [pl.concat([day(number, one) for number in range(90, 104)]) for one in (TACTICS, CALM)]

    def on_new_devices(days: list[simulator.Payments]) -> float:
        devices = np.concatenate([d.device_age[d.fraud & d.online] for d in days])
        return float((devices < 2).mean())

    drift = compare_frames(
        *(features(frame.lazy()).collect() for frame in made), DriftRule.parse("psi <= 0.02")
    )
    assert on_new_devices(calm) > 0.95
    assert on_new_devices(changed) < 0.2
    assert {one.outcome for one in drift} == {"stable"}


def test_twice_as_many_cards_are_stolen_with_prior_drift():
    assert len(simulator.stolen_cards(0, CALM, 170)) == 14 * 5
    assert len(simulator.stolen_cards(0, Scenario(prior=True), 170)) == 14 * 10


def test_festival_is_volume_only():
    def volume(number: int) -> float:
        return len(day(number, Scenario(festival=True))) / len(day(number))

    assert volume(149) == 1
    assert 2.2 < volume(153) < 2.8
    assert volume(158) == 1


def test_old_people_are_robbed_more_often():
    victims = np.concatenate([simulator.stolen_cards(0, CALM, number) for number in range(0, 140, 14)])
    age = simulator.draw_population(0).customers.age

    assert (age[victims] == 3).mean() > 1.5 * (age == 3).mean()


def test_unknown_scenario_is_refused_in_plain_words():
    with pytest.raises(
        ValueError, match="none, covariate, concept, prior, festival, tactics, all; not 'chaos'"
    ):
        Scenario.named("chaos")


def test_lands_what_the_environment_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLCICD_PAYMENTS_SCENARIO", "festival")

    (path,) = upstream.land(tmp_path, ["2026-06-03"])

    assert path == tmp_path / "landing/payments/2026-06-03.parquet"
    assert pl.read_parquet(path).equals(day(153, Scenario(festival=True)))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_features_keep_rows_and_see_neither_label_nor_protected():
    records = day(3).drop("is_fraud", "label_time", "age_group", "gender")

    made = features(records.lazy()).collect()

    assert made.shape == (len(records), 11)
    assert set(made.dtypes) == {pl.Float32, pl.String}
    assert made["log_amount"].to_list()[:3] == pytest.approx(np.log1p(records["amount"].to_list()[:3]))
