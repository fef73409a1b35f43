"""What every lake must do."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from resources.lake import DeltaLake
from resources.protocols import Lake, ResourceError
from tests.fakes.memory import MemoryLake

TABLE = "flights/raw_data"


@pytest.fixture(params=["delta", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return DeltaLake(str(tmp_path / "lake")) if request.param == "delta" else MemoryLake()


def rows(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"number": numbers, "text": [f"row {n}" for n in numbers]}, schema_overrides=SCHEMA)


SCHEMA = {"number": pl.Int64, "text": pl.String}


def numbers(frame: pl.LazyFrame) -> list[int]:
    return sorted(frame.collect()["number"].to_list())


def test_nothing_is_there_before_the_first_write(lake: Lake):
    assert lake.versions(TABLE) == {}
    with pytest.raises(ResourceError, match=r"flights/raw_data.*materialize it first"):
        lake.scan(TABLE)
    with pytest.raises(ResourceError, match=r"flights/raw_data.*materialize it first"):
        lake.table_version(TABLE)


def test_partitions_are_replaced_one_by_one(lake: Lake):
    lake.write(TABLE, rows(1, 2), partition="2013-01")
    lake.write(TABLE, rows(3), partition="2013-02")

    lake.write(TABLE, rows(4, 5, 6), partition="2013-01")

    assert numbers(lake.scan(TABLE)) == [3, 4, 5, 6]
    assert numbers(lake.scan(TABLE, partitions=["2013-02"])) == [3]
    assert {key: one.rows for key, one in lake.versions(TABLE).items()} == {"2013-01": 3, "2013-02": 1}


def test_a_table_without_partitions_is_replaced_whole(lake: Lake):
    lake.write(TABLE, rows(1, 2))

    written = lake.write(TABLE, rows(3))

    assert numbers(lake.scan(TABLE)) == [3]
    assert lake.versions(TABLE) == {None: written}


def test_reads_back_what_was_written(lake: Lake):
    frame = pl.DataFrame(
        {
            "small": pl.Series([1, None, 3], dtype=pl.Int16),
            "share": pl.Series([0.5, float("nan"), None], dtype=pl.Float32),
            "name": ["Zoë", "", None],
            "local": [datetime(2026, 3, 1, 10), None, datetime(2026, 3, 1, 9)],
            "utc": [datetime(2026, 3, 1, 10, tzinfo=UTC), None, None],
            "day": [date(2026, 3, 1), None, date(1999, 1, 1)],
            "yes": [True, False, None],
            "empty": pl.Series([None] * 3, dtype=pl.Float64),
            "many": [[1.5], [], None],
        }
    )

    lake.write(TABLE, frame, partition="a")
    read = lake.scan(TABLE, partitions=["a"]).collect()

    assert read.schema == frame.schema
    assert read.sort("small").equals(frame.sort("small"))


def test_columns_of_the_lake_itself_are_not_read(lake: Lake):
    lake.write(TABLE, rows(1), partition="a")

    assert lake.scan(TABLE).collect_schema().names() == ["number", "text"]


def test_the_same_content_writes_nothing(lake: Lake):
    first = lake.write(TABLE, rows(1, 2, 3), partition="a")
    version = lake.table_version(TABLE)

    again = lake.write(TABLE, rows(3, 1, 2).select("text", "number"), partition="a")

    assert again == first
    assert lake.table_version(TABLE) == version


def test_other_content_is_a_new_version(lake: Lake):
    first = lake.write(TABLE, rows(1, 2, 3), partition="a")

    second = lake.write(TABLE, rows(1, 2, 4), partition="a")

    assert second.content != first.content
    assert second.version == lake.table_version(TABLE) > first.version
    assert lake.versions(TABLE)["a"] == second


def test_version_of_a_partition_is_that_of_its_own_write(lake: Lake):
    first = lake.write(TABLE, rows(1), partition="a")
    second = lake.write(TABLE, rows(1), partition="b")

    assert first.content == second.content
    assert lake.versions(TABLE) == {"a": first, "b": second}


def test_an_older_version_can_still_be_read(lake: Lake):
    lake.write(TABLE, rows(1), partition="a")
    lake.write(TABLE, rows(2), partition="b")
    version = lake.table_version(TABLE)
    lake.write(TABLE, rows(3), partition="a")

    assert numbers(lake.scan(TABLE, version=version)) == [1, 2]
    assert numbers(lake.scan(TABLE, partitions=["a"], version=version)) == [1]
    with pytest.raises(ResourceError, match="has no partition b at version 0"):
        lake.scan(TABLE, partitions=["b"], version=0)
    with pytest.raises(ResourceError, match="version 99"):
        lake.scan(TABLE, version=99)


def test_a_missing_partition_is_named(lake: Lake):
    lake.write(TABLE, rows(1), partition="2013-01")

    with pytest.raises(ResourceError, match="has no partition 2013-07: materialize it first"):
        lake.scan(TABLE, partitions=["2013-01", "2013-07"])


def test_a_partition_may_be_without_rows(lake: Lake):
    lake.write(TABLE, rows(1), partition="a")

    written = lake.write(TABLE, rows(), partition="a")
    lake.write(TABLE, rows(2), partition="b")

    assert (written.rows, lake.versions(TABLE)["a"]) == (0, written)
    assert numbers(lake.scan(TABLE)) == [2]
    assert lake.scan(TABLE, partitions=["a"]).collect().schema == SCHEMA


def test_order_does_not_depend_on_the_order_of_writing(lake: Lake):
    for key, number in [("c", 3), ("a", 9), ("b", 2), ("a", 1)]:
        lake.write(TABLE, rows(number, number + 10), partition=key)

    assert lake.scan(TABLE).collect()["number"].to_list() == [1, 11, 2, 12, 3, 13]


def test_rows_of_one_content_are_read_in_one_order(lake: Lake):
    lake.write(TABLE, rows(3, 1, 2), partition="a")
    lake.write("other", rows(2, 3, 1), partition="a")

    assert lake.scan(TABLE).collect().equals(lake.scan("other").collect())


def test_tables_do_not_touch_each_other(lake: Lake):
    lake.write("flights/raw_data", rows(1))
    lake.write("flights/features", rows(2))

    assert numbers(lake.scan("flights/raw_data")) == [1]


def test_each_partition_reads_back_with_its_own_columns(lake: Lake):
    lake.write(TABLE, rows(1).rename({"text": "old"}), partition="a")
    lake.write(TABLE, rows(2).rename({"text": "new"}), partition="b")

    assert lake.scan(TABLE, partitions=["a"]).collect_schema().names() == ["number", "old"]
    assert lake.scan(TABLE, partitions=["b"]).collect_schema().names() == ["number", "new"]
    assert set(lake.scan(TABLE).collect_schema().names()) == {"number", "old", "new"}


def test_a_column_that_no_partition_has_any_more_is_gone(lake: Lake):
    lake.write(TABLE, rows(1), partition="a")
    lake.write(TABLE, rows(2), partition="b")

    for key, number in [("a", 1), ("b", 2)]:
        lake.write(TABLE, rows(number).drop("text"), partition=key)

    assert lake.scan(TABLE).collect_schema().names() == ["number"]


def test_partition_keys_may_hold_any_character(lake: Lake):
    for number, key in enumerate(["2026-01-31-14:00", "50%", "it's", "a/b c=d", "é"]):
        lake.write(TABLE, rows(number), partition=key)

    assert numbers(lake.scan(TABLE, partitions=["it's", "a/b c=d"])) == [2, 3]
    assert numbers(lake.scan(TABLE)) == [0, 1, 2, 3, 4]
