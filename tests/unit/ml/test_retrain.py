"""When a model is trained again: what may be declared, and what is wrong with what may not."""

import pytest
from dagster._utils.schedules import is_valid_cron_schedule
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlcicd_assets.ml.cron import check_cron
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.retrain import Retrain


@pytest.mark.parametrize(
    "text", ["0 2 * * *", "*/15 9-17/2 1,15 jan-jun mon-fri", "59 23 31 12 7", "0 0 29 2 *"]
)
def test_a_cron_expression_of_five_fields_is_read(text: str):
    assert Retrain(schedule=text).schedule == text


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"schedule": "@daily"}, "schedule", "five fields"),
        ({"schedule": "0 2 * * * *"}, "schedule", "five fields"),
        ({"schedule": "60 2 * * *"}, "schedule", "the minute of a schedule is from 0 to 59"),
        ({"schedule": "0 2 * * 8"}, "schedule", "the day of the week of a schedule is from 0 to 7"),
        ({"schedule": "0 5-2 * * *"}, "schedule", "the hour of a schedule"),
        ({"schedule": "*/0 2 * * *"}, "schedule", "the minute of a schedule"),
        ({"schedule": "0 two * * *"}, "schedule", "the hour of a schedule reads like"),
        ({"schedule": "0 2 30 2 *"}, "schedule", "never comes"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Asia/Kolkata"),
        ({"timezone": "../etc/passwd"}, "timezone", "Asia/Kolkata"),
        ({"at_most_every": "often"}, "at_most_every", "a duration reads like"),
        ({"budget": "20 cpu-hours"}, "budget", "a budget reads like '20 cpu-hours/month'"),
        ({"budget": "-1 EUR/month"}, "budget", "a budget reads like"),
        ({"budget": "0 EUR/month"}, "budget", "lets nothing run"),
        ({"catch_up": "none"}, "", "it needs 'schedule'"),
        ({"when": "always"}, "when", "Extra inputs"),
    ],
)
def test_what_is_wrong_names_the_field(fields: dict[str, str], field: str, said: str):
    with pytest.raises(ValidationError, match=said) as caught:
        Retrain.model_validate(fields)

    assert [*caught.value.errors()[0]["loc"]] == ([field] if field else [])


def declared(**fields: object) -> ModelDeclaration:
    values = {
        "name": "m",
        "owner": "team:a",
        "dataset": "d",
        "estimator": "model.py:estimator",
        "train": "60d",
    }
    values |= {"holdout": "14d", "champion": {"metric": "roc_auc"}, "gates": {"roc_auc": ">= 0.5"}}
    return ModelDeclaration.model_validate(values | fields)


def test_a_budget_in_money_needs_the_price_of_an_hour():
    with pytest.raises(ValidationError, match=r"retrain\.budget is in EUR: it needs 'rates'.*: EUR"):
        declared(retrain={"budget": "50 EUR/month"}, rates={"cpu_hour": 0.04, "currency": "USD"})

    declared(retrain={"budget": "50 EUR/month"}, rates={"cpu_hour": 0.04, "currency": "EUR"})
    declared(retrain={"budget": "20 gpu-hours/month"})


_numbers = st.integers(0, 70).map(str)
_items = st.one_of(
    _numbers,
    st.just("*"),
    st.builds("{}-{}".format, _numbers, _numbers),
    st.builds("*/{}".format, _numbers),
    st.builds("{}-{}/{}".format, _numbers, _numbers, _numbers),
    st.builds("{}/{}".format, _numbers, _numbers),
)


@given(st.lists(_items, min_size=5, max_size=5))
def test_what_is_let_through_dagster_can_schedule(parts: list[str]):
    text = " ".join(parts)
    try:
        check_cron(text)
    except ValueError:
        return

    assert is_valid_cron_schedule(text)
