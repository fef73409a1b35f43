"""Which raw columns each feature is made of."""

import polars as pl

from mlcicd_assets.ml.lineage import column_lineage

SCHEMAS = {
    "sales": pl.Schema({"amount": pl.Float64, "store": pl.String, "hour": pl.Int64, "unused": pl.String}),
    "stores": pl.Schema({"store": pl.String, "size": pl.Int64, "city": pl.String}),
}


def test_each_feature_names_the_columns_it_is_computed_of() -> None:
    def features(sales: pl.LazyFrame) -> pl.LazyFrame:
        rate = pl.col("amount") / pl.col("hour")
        return sales.with_columns(rate=rate).select("hour", double=pl.col("rate") * 2, one=pl.lit(1.0))

    found = column_lineage(features, "sales", {"sales": SCHEMAS["sales"]})

    assert found["hour"] == {"sales.hour"}
    assert found["double"] == {"sales.amount", "sales.hour"}
    assert "sales.unused" not in set().union(*found.values())


def test_a_lookup_counts_with_the_columns_that_join_it() -> None:
    def features(sales: pl.LazyFrame, *, stores: pl.LazyFrame) -> pl.LazyFrame:
        joined = sales.join(stores, on="store", how="left", maintain_order="left")
        return joined.select("size", log=pl.col("amount").log())

    found = column_lineage(features, "sales", SCHEMAS)

    assert found["size"] == {"stores.size", "stores.store", "sales.store"}
    assert "sales.amount" in found["log"]
    assert "stores.size" not in found["log"]


def test_a_function_that_collects_within_itself_counts_what_it_read_for_every_feature() -> None:
    def features(sales: pl.LazyFrame) -> pl.LazyFrame:
        read = sales.select("amount", "hour").collect()
        return read.lazy().select("hour", double=pl.col("amount") * 2)

    found = column_lineage(features, "sales", {"sales": SCHEMAS["sales"]})

    assert found == {name: {"sales.amount", "sales.hour"} for name in ("hour", "double")}
