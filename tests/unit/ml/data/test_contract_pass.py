"""Rules as expressions, executed checks, the quarantine, freshness: what the one pass must not get wrong."""

import subprocess
import sys
from datetime import datetime
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.api.polars.types import PolarsData

from mlcicd_assets.ml.data import uniqueness
from mlcicd_assets.ml.data.contract_rules import AsWhole, ByRecord, Executed, rule_of
from mlcicd_assets.ml.data.contracts import ContractBroken, Examined, examine, moved_counts
from mlcicd_assets.ml.data.uniqueness import duplicates
from mlcicd_assets.ml.declarations import DatasetDeclaration

SCHEMA = pl.Schema({"x": pl.Int64(), "name": pl.String()})


def declared(**changes: Any) -> DatasetDeclaration:
    fields = {"name": "d", "owner": "team:d", "contract": "dataset.py:D", "source": {"files": "d.parquet"}}
    return DatasetDeclaration.model_validate(fields | changes)


@pytest.mark.parametrize(
    "check",
    [
        pa.Check.eq(1),
        pa.Check.ne(1),
        pa.Check.gt(1),
        pa.Check.ge(1),
        pa.Check.lt(1),
        pa.Check.le(1),
        pa.Check.in_range(0, 9),
        pa.Check.isin([1, 2]),
        pa.Check.notin([1, 2]),
    ],
)
def test_panderas_rules_of_numbers_are_expressions(check: pa.Check):
    assert isinstance(rule_of(check, "x", SCHEMA), ByRecord)


@pytest.mark.parametrize(
    "check",
    [
        pa.Check.str_matches("a"),
        pa.Check.str_contains("a"),
        pa.Check.str_startswith("a"),
        pa.Check.str_endswith("a"),
        pa.Check.str_length(1, 3),
    ],
)
def test_panderas_rules_of_texts_are_expressions(check: pa.Check):
    assert isinstance(rule_of(check, "name", SCHEMA), ByRecord)


FRESH = """
import pandera.polars as pa
import polars as pl

check = pa.Check.ge(1)
from mlcicd_assets.ml.data.contract_rules import rule_of

print(type(rule_of(check, "x", pl.Schema({"x": pl.Int64()}))).__name__)
"""


def test_they_are_so_in_a_process_that_has_not_validated_anything_yet():
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "ByRecord"


def selecting(*exprs: Any, **named: Any) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(*exprs, **named), name="own")


@pytest.mark.parametrize(
    ("check", "kind"),
    [
        (selecting(pl.col("x") > 0), ByRecord),
        (selecting(pl.col("x") > 0, pl.col("name") != ""), ByRecord),
        (selecting(ok=pl.col("x").diff() >= 0), ByRecord),
        (selecting(pl.col("x") < pl.col("x").mean() * 9), ByRecord),
        (selecting(pl.len() > 3), AsWhole),
        (selecting((pl.col("x").mean() < 5).fill_null(value=True)), AsWhole),
        (selecting(pl.col("x") + 1), Executed),  # no truth
        (selecting(pl.col("x").unique() > 0), Executed),  # neither one nor as many as there are records
        (selecting(pl.all() != ""), Executed),
        (pa.Check(lambda data: data.lazyframe.filter(pl.col("x") > 0).select(pl.col("x") > 0)), Executed),
        (pa.Check(lambda x: x > 0, element_wise=True), Executed),
        (pa.Check.unique_values_eq([1]), Executed),
    ],
)
def test_what_is_counted_and_what_is_executed(check: pa.Check, kind: type):
    assert isinstance(rule_of(check, "x", SCHEMA), kind)


class Own(pa.DataFrameModel):
    x: pl.Int64 = pa.Field(nullable=True)
    name: pl.String

    @pa.check("x", element_wise=True, raise_warning=True)
    @classmethod
    def is_even(cls, value: int) -> bool:
        return value % 2 == 0

    @pa.dataframe_check(raise_warning=True)
    @classmethod
    def groups_are_small(cls, data: PolarsData) -> pl.LazyFrame:
        counted = data.lazyframe.with_columns(n=pl.len().over("name"))
        return counted.select(pl.col("n") <= 3)

    @pa.dataframe_check(raise_warning=True)
    @classmethod
    def not_negative(cls, data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col("x") >= 0)


def examined(records: pl.DataFrame, contract: Any = Own, **changes: Any) -> Examined:
    return examine(records.lazy(), contract, declared(**changes))


def test_executed_checks_find_the_same_records_as_expressions():
    records = pl.DataFrame({"x": [2, 3, -4, None, 6, 8], "name": ["a", "b", "b", "c", "c", "d"]})

    found = examined(records)
    kept, moved = found.part()

    assert {failure.rule: failure.sample for failure in found.report.failures} == {
        "is_even": ["x=3"],
        "not_negative": [str({"x": -4, "name": "b"})],
    }
    assert kept["x"].to_list() == [2, None, 6, 8]
    assert moved.select("x", "_rules").rows() == [(3, "x.is_even"), (-4, "not_negative")]
    assert dict(moved_counts(moved)) == {"x.is_even": 1, "not_negative": 1}


def test_a_record_that_breaks_several_rules_carries_all_their_names():
    records = pl.DataFrame({"x": [-3, 2], "name": ["a", "b"]})

    _, moved = examined(records).part()

    assert moved["_rules"].to_list() == ["x.is_even; not_negative"]


def test_nothing_is_moved_for_a_rule_about_the_whole_or_for_a_reference():
    class Whole(pa.DataFrameModel):
        x: pl.Int64

        @pa.dataframe_check(raise_warning=True)
        @classmethod
        def mean_is_low(cls, data: PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(pl.col("x").mean() < 0)

    records = pl.DataFrame({"x": [1, 2]})
    known = {"other.x": pl.LazyFrame({"x": [1]})}

    found = examine(records.lazy(), Whole, declared(references={"x": "other.x"}), known)
    kept, moved = found.part()

    assert {failure.rule for failure in found.report.failures} == {"mean_is_low", "references"}
    assert (kept.height, moved.height) == (2, 0)
    assert moved.columns == ["x", "_rules"]


def test_when_no_record_would_stay_it_is_refused():
    with pytest.raises(ContractBroken, match=r"every record breaks a soft rule \(not_negative\)"):
        examined(pl.DataFrame({"x": [-2, -4], "name": ["a", "b"]})).part()


def test_a_rule_that_fails_on_one_value_is_named_and_the_others_are_still_counted():
    class Careless(pa.DataFrameModel):
        name: pl.String = pa.Field(str_matches="^1")

        @pa.check("name")
        @classmethod
        def is_a_number(cls, data: PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(pl.col("name").cast(pl.Int64) > 0)

    found = examined(pl.DataFrame({"name": ["1", "12", "two"]}), Careless)

    assert {failure.rule: failure.count for failure in found.report.failures} == {
        "str_matches": 1,
        "is_a_number": 3,
    }
    assert "the check raised InvalidOperationError" in found.report.summary()


class Timed(pa.DataFrameModel):
    at: pl.Datetime = pa.Field(nullable=True)


@pytest.mark.parametrize(("newest", "fresh"), [(23, True), (18, True), (17, False)])
@pytest.mark.parametrize("tier", ["hard", "soft"])
def test_the_newest_record_is_near_the_end(newest: int, fresh: bool, tier: str):
    records = pl.DataFrame({"at": [datetime(2026, 1, 1, 1), datetime(2026, 1, 1, newest), None]})
    dataset = declared(time="at", freshness={"within": "6h", "tier": tier})

    report = examine(records, Timed, dataset, until=datetime(2026, 1, 2)).report

    assert [(failure.rule, failure.tier) for failure in report.failures] == (
        [] if fresh else [("fresh", tier)]
    )
    assert report.passed == (fresh or tier == "soft")


def test_freshness_knows_time_zones_and_names_a_column_that_has_no_time():
    class Zoned(pa.DataFrameModel):
        at: pl.Datetime(time_zone="UTC")

    dataset = declared(time="at", freshness={"within": "6h"})
    zoned = pl.DataFrame({"at": [datetime(2026, 1, 1, 20)]}).with_columns(
        pl.col("at").dt.replace_time_zone("UTC")
    )

    assert examine(zoned, Zoned, dataset, until=datetime(2026, 1, 2)).report.passed
    text = examine(pl.DataFrame({"at": ["noon"]}), Timed, dataset, until=datetime(2026, 1, 2)).report
    assert {failure.rule for failure in text.failures} == {"column_type", "fresh"}


def test_one_class_alone_warns_once_there_are_enough_labels():
    class Labelled(pa.DataFrameModel):
        at: pl.Datetime
        good: pl.Int64 = pa.Field(isin=[0, 1])

    label = {"label": {"column": "good"}, "time": "at", "features": "features.py:features"}
    one = pl.DataFrame({"at": [datetime(2026, 1, 1)], "good": [0]})

    few = examine(pl.concat([one] * 999), Labelled, declared(**label)).report
    many = examine(pl.concat([one] * 1000), Labelled, declared(**label)).report

    assert few.failures == []
    assert [(failure.rule, failure.tier) for failure in many.failures] == [("both_classes", "soft")]
    assert "one class teaches nothing" in many.failures[0].message


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, None]), st.sampled_from(["a", "b", None])), max_size=12))
def test_duplicates_are_those_that_polars_finds(rows: list[tuple[Any, Any]]):
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")

    count, found = duplicates(frame.lazy(), ["x", "name"], ["x"])

    expected = frame.filter(frame.is_duplicated())
    assert count == expected.height
    if count:
        assert sorted(map(str, found.rows())) == sorted(map(str, expected.rows()))


def test_duplicates_beyond_what_is_compared_are_counted_by_hash(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uniqueness, "_COMPARED", 10)
    frame = pl.LazyFrame({"x": [number // 2 for number in range(100)]})

    count, found = duplicates(frame, ["x"], ["x"])

    assert count == 100
    assert 0 < found.height <= 10
