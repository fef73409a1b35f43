"""What lands or is declared badly: one clear message, what depends on it blocked, what was good untouched."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.fakes.projects import sales
from tests.pipeline.conftest import Pipeline, failures

MONTH = "2026-04"
DATA = 'group:"sales" or group:"stores"'


def landed(pipeline: Pipeline) -> Path:
    return pipeline.project.home / "landing" / "sales" / f"{MONTH}.parquet"


def rewrite(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    return lambda path: change(sales(MONTH)).write_parquet(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


BAD = {
    "a wrong column type": (
        rewrite(lambda f: f.with_columns(pl.lit("much").alias("amount"))),
        ["amount", "String"],
    ),
    "an empty file": (lambda path: path.write_bytes(b""), [f"{MONTH}.parquet", "empty"]),
    "a file cut short": (cut_short, [f"{MONTH}.parquet"]),
    "a duplicate key": (rewrite(lambda f: pl.concat([f, f.head(2)])), ["unique_keys", "sale_id", "4 of 602"]),
    "a month without labels": (
        rewrite(lambda f: f.with_columns(pl.lit(None, pl.Int64).alias("returned"))),
        ["labels_present", "returned"],
    ),
    "a missing column": (rewrite(lambda f: f.drop("online")), ["online", "missing"]),
    "a value out of range": (
        rewrite(
            lambda f: f.with_columns(
                pl.when(pl.col("sale_id") % 100 == 0).then(-5.0).otherwise("amount").alias("amount")
            )
        ),
        ["amount", "6 of 600", "-5.0"],
    ),
    "no records": (rewrite(lambda f: f.clear()), [f"{MONTH}.parquet", "no records"]),
    "no file": (lambda path: path.unlink(), [f"{MONTH}.parquet", "has not landed"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_records_are_named_and_change_nothing(pipeline: Pipeline, case: str):
    spoil, told = BAD[case]
    pipeline.project.land()
    assert pipeline.materialize(DATA).success
    before = pipeline.resources["lake"].versions("sales/validated_data")
    spoil(landed(pipeline))
    result = pipeline.materialize(DATA, months=(MONTH, MONTH))
    assert not result.success
    said = failures(result)
    assert all(text in said for text in told), said
    assert pipeline.resources["lake"].versions("sales/validated_data") == before
    assert "sales__features" not in {
        event.step_key for event in result.all_node_events if event.is_step_success
    }


def test_one_bad_month_does_not_keep_the_good_ones_out(pipeline: Pipeline):
    pipeline.project.land()
    landed(pipeline).write_bytes(b"")
    assert not pipeline.materialize('key:"sales/raw_data"').success
    assert sorted(pipeline.resources["lake"].versions("sales/raw_data")) == ["2026-01", "2026-02", "2026-03"]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "returns/model.py",
            "def estimator():",
            "import nothing_like_this\ndef estimator():",
            "model.py, line 2",
        ),
        ("returns/model.py", "return make_pipeline", "return make_pipelin", "make_pipelin"),
        ("returns/model.py", "LogisticRegression(C=1.0)", "LogisticRegression", "LogisticRegression"),
        ("sales/features.py", 'pl.col("amount")', 'pl.col("amuont")', "amuont"),
        (
            "sales/dataset.py",
            "class Sales",
            "raise ValueError('no')\nclass Sales",
            "raised ValueError on import",
        ),
    ],
)
def test_code_that_fails_is_named_with_its_place(
    pipeline: Pipeline, file: str, old: str, new: str, told: str
):
    pipeline.project.land()
    pipeline.project.edit(file, old, new)
    result = pipeline.materialize('not key:"returns/deployment"')
    assert not result.success
    assert told in failures(result)
    assert pipeline.champion() is None


def test_a_window_without_enough_labels_is_named(pipeline: Pipeline):
    pipeline.project.land(["2026-01"])
    result = pipeline.materialize(months=("2026-01", "2026-01"))
    assert not result.success
    assert "the train window of 80d" in failures(result)
    assert "land more partitions" in failures(result)
