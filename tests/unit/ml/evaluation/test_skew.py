"""Training–serving skew, value by value."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.evaluation.skew import UNSEEN, Probe, Sides, choose_rows, compare, probes_of

INPUTS = [
    Column(name="amount", dtype="Float64", nullable=False),
    Column(name="shop", dtype="String"),
    Column(name="at", dtype="Datetime[UTC]", nullable=False),
]


def sides(**changes: object) -> Sides:
    frame = pl.DataFrame({"amount": [1.0, 2.0, None], "shop": ["a", "b", None]}).cast({"amount": pl.Float32})
    fields: dict[str, object] = {
        "keys": pl.DataFrame({"id": [10, 11, 12]}),
        "trained": np.array([0.1, 0.5, 0.9], np.float32),
        "served": np.array([0.1, 0.5, 0.9], np.float32),
        "trained_features": frame,
        "served_features": frame,
    }
    return Sides(**{**fields, **changes})  # type: ignore[arg-type]


def test_the_same_on_both_sides_is_no_skew() -> None:
    skew = compare(sides(), 0.5)
    assert (skew.rows, skew.max_difference, skew.label_flips, skew.columns, skew.worst) == (
        3,
        0.0,
        0,
        [],
        None,
    )


def test_the_worst_row_is_named_with_the_features_that_differ() -> None:
    served = sides().served_features.with_columns(amount=pl.Series([1.0, 2.5, None], dtype=pl.Float32))
    skew = compare(sides(served=np.array([0.1, 0.4, 0.9], np.float32), served_features=served), 0.5)
    assert skew.max_difference == pytest.approx(0.1)
    assert skew.label_flips == 1
    assert skew.worst is not None
    assert skew.worst.keys == {"id": "11"}
    assert [(c.column, c.trained, c.served) for c in skew.worst.columns] == [("amount", "2.0", "2.5")]
    assert [(c.column, c.rows, c.max_difference) for c in skew.columns] == [("amount", 1, 0.5)]


def test_a_null_that_became_a_value_is_seen() -> None:
    served = sides().served_features.with_columns(
        amount=pl.Series([1.0, 2.0, 0.0], dtype=pl.Float32), shop=pl.Series(["a", "b", ""])
    )
    skew = compare(sides(served_features=served), 0.5)
    assert [(c.column, c.rows, c.trained) for c in skew.columns] == [
        ("amount", 1, "None"),
        ("shop", 1, "None"),
    ]


def test_null_and_nan_are_the_same_to_a_model() -> None:
    served = sides().served_features.with_columns(pl.col("amount").fill_null(float("nan")))
    assert compare(sides(served_features=served), 0.5).columns == []


@pytest.mark.parametrize("order", [["shop", "amount"], ["amount"], ["amount", "store"]])
def test_features_in_another_order_are_no_measurement(order: list[str]) -> None:
    served = pl.DataFrame({name: ["x", "y", "z"] for name in order})
    skew = compare(sides(served_features=served), 0.5)
    assert skew.max_difference is None
    assert ", ".join(order) in skew.problem


def test_no_number_on_either_side_is_no_measurement() -> None:
    for side in ("served", "trained"):
        skew = compare(sides(**{side: np.array([0.1, np.nan, 0.9], np.float32)}), 0.5)
        assert skew.max_difference is None


def test_a_probe_counts_and_one_that_failed_is_no_measurement() -> None:
    far = Probe(name="shop unseen", rows=5, max_difference=0.3)
    assert compare(sides(), 0.5, [far]).max_difference == pytest.approx(0.3)
    failed = Probe(name="shop missing", rows=5, max_difference=None, problem="the server refused")
    skew = compare(sides(), 0.5, [far, failed])
    assert (skew.max_difference, skew.problem) == (None, "shop missing: the server refused")


def test_many_classes_are_compared_cell_by_cell() -> None:
    trained = np.array([[0.2, 0.3, 0.5]] * 3, np.float32)
    served = trained.copy()
    served[2] = [0.2, 0.6, 0.2]
    skew = compare(sides(trained=trained, served=served), None)
    assert skew.worst is not None
    assert (skew.label_flips, skew.worst.keys) == (1, {"id": "12"})


def test_a_sample_has_the_extremes_of_each_input() -> None:
    rows = 10_000
    records = pl.DataFrame(
        {
            "amount": np.arange(rows) % 977 + 0.5,
            "shop": ["usual"] * rows,
            "at": [datetime(2026, 1, 1, tzinfo=UTC)] * rows,
        }
    )
    records[7_777, "shop"] = "rarest"
    records[3_333, "shop"] = None
    records[4_321, "amount"] = 1e6
    records[1_234, "amount"] = -1.0
    chosen = choose_rows(records, INPUTS)
    assert {7_777, 3_333, 4_321, 1_234} <= set(chosen)
    assert len(chosen) <= 200
    assert chosen == sorted(set(chosen)) == choose_rows(records, INPUTS)


def test_a_sample_of_few_records_is_all_of_them() -> None:
    records = pl.DataFrame({"amount": [1.0, 2.0, 3.0], "shop": ["a", None, "a"]})
    assert choose_rows(records, INPUTS) == [0, 1, 2]


def test_probes_are_missing_and_unseen_values() -> None:
    records = pl.DataFrame({"amount": [1.0], "shop": ["a"], "at": [datetime(2026, 1, 1, tzinfo=UTC)]})
    made = probes_of(records, INPUTS)
    assert sorted(made) == ["shop missing", "shop unseen"]
    assert made["shop missing"]["shop"].to_list() == [None]
    assert made["shop unseen"]["shop"].to_list() == [UNSEEN]
