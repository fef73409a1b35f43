from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.data.features import (
    MISSING,
    FeaturesError,
    compute_features,
    model_arrays,
    required_inputs,
)

RECORDS = pl.DataFrame(
    {
        "id": [3, 1, 2, 4],
        "amount": [10.0, 20.0, None, 40.0],
        "shop": ["a", "b", None, "z"],
        "open": [True, False, None, True],
        "label": [0, 1, 0, 1],
        "unused": [1, 2, 3, 4],
    }
)
SHOPS = {"shops": pl.LazyFrame({"shop": ["a", "b"], "size": [7, 8]})}


def plain(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    joined = records.join(shops, on="shop", how="left", maintain_order="left")
    return joined.select("amount", "shop", "open", double=pl.col("amount") * 2, size="size")


def compute(function: Callable[..., Any], **options: Any) -> pl.DataFrame:
    return compute_features(function, RECORDS, SHOPS, **options)


def test_numbers_become_float_and_text_string_in_the_records_order() -> None:
    features = compute(plain, hidden=["label"])

    assert dict(features.schema) == {
        "amount": pl.Float32,
        "shop": pl.String,
        "open": pl.Float32,
        "double": pl.Float32,
        "size": pl.Float32,
    }
    assert features["double"].to_list() == [20.0, 40.0, None, 80.0]
    assert features["size"].to_list() == [7.0, 8.0, None, None]
    assert features["open"].to_list() == [1.0, 0.0, None, 1.0]


def test_hidden_columns_are_never_seen() -> None:
    def peeking(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
        return records.select("label")

    with pytest.raises(FeaturesError, match="label"):
        compute(peeking, hidden=["label"])


def reordering(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    return records.sort("id").select("amount", "id")


def batch_mean(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    return records.select(over=pl.col("amount") / pl.col("amount").mean())


def neighbours(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    return records.select(before=pl.col("id").shift(1))


@pytest.mark.parametrize("function", [reordering, batch_mean, neighbours])
def test_a_row_must_not_depend_on_the_others(function: Callable[..., Any]) -> None:
    with pytest.raises(FeaturesError, match="differ when the row is computed alone"):
        compute(function)


def filtering(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    return records.filter(pl.col("id") > 2).select("amount")


def multiplying(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
    return records.join(pl.concat([shops, shops]), on="shop", how="left").select("amount")


@pytest.mark.parametrize(("function", "rows"), [(filtering, 2), (multiplying, 6)])
def test_one_row_per_record(function: Callable[..., Any], rows: int) -> None:
    with pytest.raises(FeaturesError, match=f"returned {rows} rows for 4 records"):
        compute(function)


def test_a_time_is_no_feature() -> None:
    def dated(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
        return records.select(when=pl.lit("2026-01-01").str.to_datetime())

    with pytest.raises(FeaturesError, match=r"feature 'when' is Datetime.*\.dt\.hour"):
        compute(dated)


def test_other_returns_are_named() -> None:
    with pytest.raises(FeaturesError, match="returned NoneType"):
        compute(lambda records, shops: None)
    with pytest.raises(FeaturesError, match="no columns"):
        compute(lambda records, shops: records.select())


def test_a_function_without_the_lookups_parameter_is_told() -> None:
    with pytest.raises(FeaturesError, match="by keyword, the lookups \\(shops\\)"):
        compute(lambda records: records)


def test_an_eager_frame_is_as_good() -> None:
    features = compute(lambda records, shops: records.select("amount").collect())

    assert features.columns == ["amount"]


def test_no_records_give_no_features() -> None:
    features = compute_features(plain, RECORDS.clear(), SHOPS)

    assert features.height == 0
    assert features.width == 5


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_what_is_row_wise_passes_and_keeps_its_values(amounts: list[float | None]) -> None:
    records = pl.DataFrame({"amount": amounts}, schema={"amount": pl.Float64})

    features = compute_features(lambda frame: frame.select(half=pl.col("amount") / 2), records)

    expected = [None if amount is None else np.float32(amount / 2) for amount in amounts]
    assert features["half"].to_list() == expected


def test_required_inputs_are_those_the_function_uses() -> None:
    schema = RECORDS.drop("label").schema

    assert required_inputs(plain, schema, SHOPS) == ["amount", "shop", "open"]
    assert required_inputs(plain, schema, SHOPS, sample=RECORDS) == ["amount", "shop", "open"]


def test_a_column_that_a_lookup_could_replace_is_found_by_a_sample() -> None:
    def shadowed(records: pl.LazyFrame, shops: pl.LazyFrame) -> pl.LazyFrame:
        return records.join(shops, on="shop", how="left", maintain_order="left").select("size")

    records = pl.DataFrame({"shop": ["a", "b"], "size": [100, 200]})

    assert required_inputs(shadowed, records.schema, SHOPS) == ["shop"]
    assert required_inputs(shadowed, records.schema, SHOPS, sample=records) == ["shop", "size"]


def test_alternatives_between_columns_are_refused() -> None:
    def either(records: pl.LazyFrame) -> pl.LazyFrame:
        names = records.collect_schema().names()
        return records.select(value=pl.col("a" if "a" in names else "b"))

    same = pl.DataFrame({"a": [1, 2], "b": [1, 2]})

    with pytest.raises(FeaturesError, match="without alternatives"):
        required_inputs(either, same.schema, sample=same)


def test_a_function_that_fails_on_everything_is_told() -> None:
    with pytest.raises(FeaturesError, match="absent"):
        required_inputs(lambda frame: frame.select("absent"), RECORDS.schema)


def test_missing_values_reach_the_model_as_nan_and_a_constant() -> None:
    features = pl.DataFrame({"x": [1.5, None], "s": ["a", None]}, schema={"x": pl.Float32, "s": pl.String})

    for rows in (features, features[1:2]):
        arrays = model_arrays(rows)
        assert arrays["x"].dtype == np.float32
        assert arrays["x"].shape == arrays["s"].shape == (rows.height, 1)
        assert np.isnan(arrays["x"][-1, 0])
        assert arrays["s"][-1, 0] == MISSING
