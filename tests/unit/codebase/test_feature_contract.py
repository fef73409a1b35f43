"""A features function that looks at its batch is found, whatever records there are."""

import polars as pl
import pytest

from mlcicd_assets.codebase.feature_contract import check_feature_contract
from mlcicd_assets.codebase.records import made_up
from mlcicd_assets.ml.user_code import load_object

FEATURES = "defs/sales/features.py"


def test_a_row_wise_function_passes_on_made_up_records(code):
    result = check_feature_contract(code.project())
    assert result.passed, result.summary()
    assert result.rows[0]["of"] == "made up by the contract"
    assert result.rows[0]["dataset"] == "sales"


@pytest.mark.parametrize(
    ("column", "rules"),
    [
        ('(pl.col("amount") / pl.col("amount").mean()).alias("relative")', {"single row", "small batch"}),
        ('pl.col("amount").shift(1).alias("before")', {"single row", "small batch", "order of rows"}),
        ('pl.col("amount").rank().alias("rank")', {"single row", "small batch"}),
    ],
)
def test_a_function_of_the_batch_is_named_with_its_column(code, column, rules):
    code.edit(FEATURES, '"online",', f'"online",\n        {column},')
    result = check_feature_contract(code.project())
    assert {one.rule for one in result.findings} == rules
    assert all(one.file == FEATURES and one.line == 5 for one in result.findings)
    assert "use only the row itself" in result.summary()


def test_a_function_that_loses_rows_or_raises_is_a_finding(code):
    code.edit(FEATURES, ".select(", '.filter(pl.col("amount") > 50).select(')
    assert "must return one row per record" in check_feature_contract(code.project()).summary()
    code.write(FEATURES, "def features(sales, *, stores):\n    raise RuntimeError('no luck')\n")
    assert "no luck" in check_feature_contract(code.project()).summary()


def test_made_up_records_keep_types_ranges_and_choices(code):
    contract = load_object(code.defs / "sales" / "dataset.py", "Sales")
    made = made_up(contract, "Sales", 500)
    assert made["amount"].is_between(0, 1e6).all()
    assert set(made["age_group"].unique()) == {"young", "old"}
    assert made["returned"].null_count() > 0
    assert made["sale_id"].null_count() == 0
    assert made.schema["sold_at"] == pl.Datetime
    assert made.equals(made_up(contract, "Sales", 500))
