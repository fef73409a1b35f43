"""What lands or is declared badly: one clear message, what depends on it blocked, what was good untouched."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from resources.landing import LandingFolder
from tests.fakes.projects import MONTHS, sales
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
    "a column without any value": (
        rewrite(lambda f: f.with_columns(pl.lit(None, pl.Float64).alias("amount"))),
        ["not_null", "amount", "600 of 600"],
    ),
    "one impossible value": (
        rewrite(
            lambda f: f.with_columns(
                pl.when(pl.int_range(pl.len()) == 3).then(-1116.0).otherwise("amount").alias("amount")
            )
        ),
        ["greater_than_or_equal_to", "amount=-1116.0 (sale_id=", "1 of 600"],
    ),
    "an unknown category": (
        rewrite(
            lambda f: f.with_columns(
                pl.when(pl.int_range(pl.len()) < 2)
                .then(pl.lit("ancient"))
                .otherwise("age_group")
                .alias("age_group")
            )
        ),
        ["isin", "age_group=ancient", "2 of 600"],
    ),
    "every record twice": (rewrite(lambda f: pl.concat([f, f])), ["unique_keys", "1,200 of 1,200"]),
    "times in another time zone": (
        rewrite(lambda f: f.with_columns(pl.col("sold_at").dt.replace_time_zone("Asia/Kolkata"))),
        ["sold_at", "Asia/Kolkata", "in one partition", "correct the source"],
    ),
    "times of several zones as text": (
        rewrite(
            lambda f: f.with_columns(
                pl.concat_str(
                    pl.col("sold_at").dt.to_string("%Y-%m-%dT%H:%M:%S"),
                    pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("Z")).otherwise(pl.lit("+05:30")),
                ).alias("sold_at")
            )
        ),
        ["sold_at", "String in one partition", "correct the source"],
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


def test_a_month_of_six_rows_passes_and_lets_the_others_be(pipeline: Pipeline):
    pipeline.project.land()
    sales(MONTH).head(6).write_parquet(landed(pipeline))

    assert pipeline.materialize(DATA).success

    rows = {key: one.rows for key, one in pipeline.resources["lake"].versions("sales/features").items()}
    assert rows == {"2026-01": 600, "2026-02": 600, "2026-03": 600, MONTH: 6}
    assert "are needed to judge" not in (pipeline.checks["label_not_leaked"].description or "")


def test_six_rows_alone_are_kept_and_what_cannot_be_judged_is_told(pipeline: Pipeline):
    pipeline.project.land()
    sales(MONTH).head(6).write_parquet(landed(pipeline))

    assert pipeline.materialize(DATA, months=(MONTH, MONTH)).success

    assert "not judged: 6 labelled rows" in (pipeline.checks["label_not_leaked"].description or "")
    trained = pipeline.materialize('key:"returns/trained_model"')
    assert "needs 100 rows and 10 of each class" in failures(trained)


def test_one_class_alone_warns_and_cannot_be_learned(pipeline: Pipeline):
    pipeline.project.land()
    for month in MONTHS:
        path = pipeline.project.home / "landing" / "sales" / f"{month}.parquet"
        sales(month, rows=1_200).with_columns(pl.lit(0).alias("returned")).write_parquet(path)

    result = pipeline.materialize('not key:"returns/deployment"')

    assert not result.success
    assert "(0 positive" in failures(result)
    quality = pipeline.checks["quality"]
    assert not quality.passed
    assert "both_classes" in str(quality.metadata["broken rules"])


def test_a_file_larger_than_memory_is_refused_and_nothing_is_lost(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize(DATA).success
    before = pipeline.resources["lake"].versions("sales/validated_data")
    small = LandingFolder(pipeline.project.home, available=lambda: 10_000)
    pipeline.resources["landing"] = small
    sales(MONTH, seed=1).write_parquet(landed(pipeline))

    result = pipeline.materialize(DATA, months=(MONTH, MONTH))

    assert not result.success
    assert "GB of memory" in failures(result)
    assert "deliver it in smaller partitions" in failures(result)
    assert pipeline.resources["lake"].versions("sales/validated_data") == before


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
