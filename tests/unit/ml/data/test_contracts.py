"""Contracts: every rule, hard and soft, with what a person needs to find the records."""

import json
import math
import warnings
from datetime import UTC, date, datetime
from typing import Any, Optional

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.api.polars.types import PolarsData
from pandera.config import ValidationDepth, config_context

from mlcicd_assets.ml.data.contracts import ContractBroken, ContractReport, conform, validate
from mlcicd_assets.ml.declarations import DatasetDeclaration


class Orders(pa.DataFrameModel):
    order: pl.Int64 = pa.Field(ge=1)
    shop: pl.String = pa.Field(isin=["a", "b"])
    amount: pl.Float64 = pa.Field(gt=0, le=1000)
    note: pl.String = pa.Field(nullable=True)
    returned: pl.Int64 = pa.Field(nullable=True, isin=[0, 1])

    @pa.check("amount", raise_warning=True)
    @classmethod
    def amount_is_usual(cls, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key) < 500)

    @pa.dataframe_check
    @classmethod
    def dear_orders_have_a_note(cls, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select((pl.col("amount") < 900) | pl.col("note").is_not_null())

    @pa.dataframe_check(raise_warning=True)
    @classmethod
    def mean_is_usual(cls, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col("amount").mean() < 400)


def declared(**changes: Any) -> DatasetDeclaration:
    fields = {
        "name": "orders",
        "owner": "team:shop",
        "source": {"files": "landing/orders.parquet"},
        "contract": "dataset.py:Orders",
        "keys": ["order"],
    }
    return DatasetDeclaration.model_validate(fields | changes)


LABELLED = {
    "label": {"column": "returned"},
    "time": "at",
    "features": "features.py:features",
}


def orders(**changes: list[Any]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "order": [1, 2, 3, 4],
        "shop": ["a", "b", "a", "b"],
        "amount": [10.0, 20.0, 30.0, 40.0],
        "note": [None, "gift", None, None],
        "returned": [0, 1, None, 0],
    }
    return pl.DataFrame(columns | changes)


def check(records: pl.DataFrame, contract: Any = Orders, **changes: Any) -> ContractReport:
    return validate(records, contract, declared(**changes))


def broken(report: ContractReport) -> dict[tuple[str, str | None], tuple[str, int]]:
    return {(one.rule, one.column): (one.tier, one.count) for one in report.failures}


def test_records_that_keep_every_rule_pass():
    report = check(orders())

    assert report.passed
    assert report.failures == []
    assert report.rows == 4
    assert report.rules > 10
    assert report.summary() == "every rule holds"


def test_all_broken_rules_are_told_at_once():
    records = orders(order=[1, 2, 2, 0], shop=["a", "x", None, "b"], amount=[-1.0, 950.0, 2000.0, math.nan])

    assert broken(check(records)) == {
        ("greater_than_or_equal_to", "order"): ("hard", 1),
        ("not_null", "shop"): ("hard", 1),
        ("isin", "shop"): ("hard", 1),
        ("not_null", "amount"): ("hard", 1),
        ("greater_than", "amount"): ("hard", 1),
        ("less_than_or_equal_to", "amount"): ("hard", 2),
        ("amount_is_usual", "amount"): ("soft", 3),
        ("dear_orders_have_a_note", None): ("hard", 2),
        ("mean_is_usual", None): ("soft", 4),
        ("unique_keys", "order"): ("hard", 2),
    }


def test_a_failure_names_rule_column_count_share_and_records():
    (failure,) = check(orders(amount=[10.0, -5.0, 30.0, 40.0])).failures

    assert (failure.rule, failure.column, failure.count, failure.share) == ("greater_than", "amount", 1, 0.25)
    assert failure.sample == ["amount=-5.0 (order=2)"]
    assert failure.message == (
        "greater_than: column 'amount' breaks greater_than(0) in 1 of 4 records (25.00%), "
        "for example amount=-5.0 (order=2)"
    )


def test_the_sample_is_short():
    failure = check(orders(order=[-1, -2, -3, -4])).failures[0]

    assert failure.count == 4
    assert len(failure.sample) == 3


def test_a_soft_rule_warns_and_does_not_block():
    report = check(orders(amount=[10.0, 600.0, 30.0, 40.0]))

    assert report.passed
    assert broken(report) == {("amount_is_usual", "amount"): ("soft", 1)}


def test_no_records_are_a_broken_rule():
    report = check(orders().clear())

    assert not report.passed
    assert report.summary() == "1 hard rule(s) broken: rows_present: there are no records"


def test_a_missing_column_is_named_and_the_rest_is_still_checked():
    report = check(orders(order=[1, 1, 2, 3]).drop("amount"))

    assert broken(report) == {
        ("column_present", "amount"): ("hard", 4),
        ("unique_keys", "order"): ("hard", 2),
    }


def test_a_wrong_type_is_named_with_an_example():
    report = check(orders(amount=["ten", "20", "30", "40"]))

    (failure,) = report.failures
    assert failure.message == (
        "column_type: column 'amount' is String, must be Float64, "
        "for example amount=ten; amount=20; amount=30"
    )


def test_a_column_without_any_value_is_told():
    assert broken(check(orders(shop=[None] * 4))) == {("not_null", "shop"): ("hard", 4)}
    assert broken(check(orders(note=[None] * 4))) == {("not_all_null", "note"): ("soft", 4)}


def test_a_missing_key_column_is_told():
    report = check(orders(), keys=["order", "line"])

    assert broken(report) == {("unique_keys", "line"): ("hard", 4)}


def test_duplicate_keys_block_and_are_shown():
    (failure,) = check(orders(order=[7, 2, 7, 4])).failures

    assert (failure.rule, failure.tier, failure.count) == ("unique_keys", "hard", 2)
    assert failure.sample == ["order=7", "order=7"]


def test_keys_of_several_columns_are_unique_together():
    report = check(orders(order=[1, 1, 2, 2]), keys=["order", "shop"])

    assert report.passed  # (1, a) (1, b) (2, a) (2, b)


def test_a_partition_without_labels_blocks():
    report = check(orders(returned=[None] * 4), **LABELLED)

    failure = next(one for one in report.failures if one.rule == "labels_present")
    assert failure.tier == "hard"
    assert "no record has a label in column 'returned'" in failure.message


def test_labels_that_arrive_late_may_be_missing():
    report = check(
        orders(returned=[None] * 4), **{**LABELLED, "label": {"column": "returned", "arrives": "at"}}
    )

    assert report.passed


def test_a_label_of_the_wrong_type_blocks():
    report = check(orders().drop("returned").with_columns(returned=pl.lit("no")), **LABELLED)

    assert ("labels_present", "returned") in broken(report)


@pytest.fixture
def shops() -> dict[str, pl.LazyFrame]:
    return {"shops.name": pl.LazyFrame({"name": ["a"]})}


def test_a_reference_to_nothing_warns(shops: dict[str, pl.LazyFrame]):
    report = validate(orders(), Orders, declared(references={"shop": "shops.name"}), shops)

    assert report.passed
    (failure,) = report.failures
    assert (failure.rule, failure.tier, failure.count) == ("references", "soft", 2)
    assert "column 'shop' is not in shops.name in 2 of 4 records (50.00%)" in failure.message


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ({"shop": "stores.name"}, "the reference table of stores.name is missing"),
        ({"till": "shops.name"}, "missing column 'till'"),
        ({"shop": "shops.title"}, "can't be compared with shops.title"),
        ({"order": "shops.name"}, "can't be compared with shops.name"),
    ],
)
def test_a_reference_that_cannot_be_checked_blocks(references: dict[str, str], message: str, shops: Any):
    known = {"shops.name": shops["shops.name"], "shops.title": shops["shops.name"]}

    report = validate(orders(), Orders, declared(references=references), known)

    assert not report.passed
    assert message in report.summary()


def test_a_check_that_raises_is_a_broken_rule_not_a_crash():
    class Careless(pa.DataFrameModel):
        amount: pl.Float64

        @pa.check("amount")
        @classmethod
        def divides(cls, data: PolarsData) -> pl.LazyFrame:
            raise ZeroDivisionError("by nothing")

        @pa.dataframe_check
        @classmethod
        def reads(cls, data: PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(pl.col("nowhere") > 0)

    report = check(orders(), Careless)

    assert set(broken(report)) == {("divides", "amount"), ("reads", None)}
    assert "raised ZeroDivisionError: by nothing; correct it in dataset.py:Orders" in report.summary()


def test_columns_beyond_a_strict_contract_block():
    class Strict(pa.DataFrameModel):
        order: pl.Int64

        class Config:
            strict = True

    report = check(orders().select("order", "note"), Strict)

    assert broken(report) == {("column_declared", "note"): ("hard", 4)}


def test_optional_columns_patterns_and_joint_uniqueness_are_checked():
    class Wide(pa.DataFrameModel):
        order: pl.Int64 = pa.Field(unique=True)
        extra: Optional[pl.Int64]  # noqa: UP045 - pandera reads the annotation
        values: pl.Float64 = pa.Field(alias=r"v_\d", regex=True, ge=0)

        class Config:
            unique = ["v_1", "v_2"]

    records = pl.DataFrame({"order": [1, 1], "v_1": [1.0, 1.0], "v_2": [-1.0, -1.0]})

    assert broken(check(records, Wide, keys=[])) == {
        ("unique", "order"): ("hard", 2),
        ("greater_than_or_equal_to", "v_2"): ("hard", 2),
        ("unique", None): ("hard", 2),
    }
    missing = check(records.select("order"), Wide, keys=[])
    assert ("column_present", r"v_\d") in broken(missing)


@pytest.mark.parametrize("option", ["drop_invalid_rows", "add_missing_columns", "ordered"])
def test_what_would_be_left_out_in_silence_is_refused(option: str):
    config = type("Config", (), {option: True})
    refused = type("Refused", (Orders,), {"Config": config})

    with pytest.raises(ContractBroken, match=f"dataset.py:Orders: Config.{option} is not supported"):
        check(orders(), refused)


@pytest.mark.parametrize("contract", [dict, 3, lambda frame: frame])
def test_what_is_no_contract_is_refused_in_plain_words(contract: Any):
    with pytest.raises(ContractBroken, match=r"is .*, not a pandera.polars DataFrameModel"):
        check(orders(), contract)


def test_the_report_is_json():
    records = orders(order=[1, 1, 3, 4], amount=[math.nan, 1e9, 3.0, 4.0]).with_columns(
        at=datetime(2026, 1, 1, tzinfo=UTC)
    )

    report = json.loads(json.dumps(check(records, keys=["order", "at"]).as_json(), allow_nan=False))

    assert report["passed"] is False
    assert {one["rule"] for one in report["failures"]} >= {"not_null", "less_than_or_equal_to"}


class Typed(pa.DataFrameModel):
    small: pl.Int16
    share: pl.Float64
    yes: pl.Boolean = pa.Field(coerce=True)
    at: pl.Datetime = pa.Field(coerce=True, nullable=True)
    day: pl.Date = pa.Field(coerce=True)
    note: pl.String = pa.Field(nullable=True)


def typed(**changes: list[Any]) -> pl.DataFrame:
    columns = {"small": [1, 2], "share": [0, 1], "yes": [1, 0], "note": [None, None]}
    times = {"at": ["2026-01-02T03:04:05", None], "day": ["2026-01-02", "2026-01-03"]}
    return pl.DataFrame(columns | times | changes)


def test_values_take_the_declared_types_where_none_changes():
    made = conform(typed(), Typed)

    assert made.schema == {
        **{"small": pl.Int16, "share": pl.Float64, "yes": pl.Boolean, "note": pl.String},
        **{"at": pl.Datetime("us"), "day": pl.Date},
    }
    assert made["at"].to_list() == [datetime(2026, 1, 2, 3, 4, 5), None]
    assert made["day"][0] == date(2026, 1, 2)
    assert check(typed(), Typed, keys=[]).passed


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("small", [1, 40_000]),
        ("small", [1.5, 2.0]),
        ("small", ["1", "2"]),
        ("share", ["0.5", "1"]),
        ("yes", [2, 0]),
        ("at", ["yesterday", None]),
        ("day", [20260102, 20260103]),
    ],
)
def test_a_value_that_would_change_stays_and_is_told(column: str, values: list[Any]):
    records = typed(**{column: values})

    assert conform(records, Typed)[column].to_list() == values
    assert ("column_type", column) in broken(check(records, Typed, keys=[]))


MAYBE = st.sampled_from([0, 1, 2, 5, -1, None])


@settings(max_examples=60, deadline=None)
@given(
    order=st.lists(MAYBE, min_size=1, max_size=6),
    amount=st.lists(st.sampled_from([1.0, 950.0, 2000.0, -3.0, math.nan, None]), min_size=6, max_size=6),
    shop=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=6, max_size=6),
)
def test_hard_rules_judge_as_pandera_does(order: list[Any], amount: list[Any], shop: list[Any]):
    n = len(order)
    records = pl.DataFrame(
        {"order": order, "amount": amount[:n], "shop": shop[:n], "note": ["x"] * n, "returned": [1] * n},
        schema_overrides={"order": pl.Int64, "amount": pl.Float64, "shop": pl.String},
    )

    with config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Orders.validate(records, lazy=True)
            passes = True
        except pa.errors.SchemaErrors:
            passes = False

    assert check(records, keys=[]).passed == passes
