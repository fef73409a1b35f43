"""What every keeper of records must do."""

import dataclasses
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from resources.protocols import Materialization, Records, ResourceError
from resources.records import SqlRecords
from tests.fakes.memory import MemoryRecords

Make = Callable[[], Records]


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """The same store, opened as often as one likes."""
    if request.param == "memory":
        kept = MemoryRecords()
        yield lambda: kept
    elif request.param == "sqlite":
        yield lambda: SqlRecords(f"sqlite:///{tmp_path}/home/records.db")
    else:
        with scratch_schema() as url:
            yield lambda: SqlRecords(url)


@contextmanager
def scratch_schema() -> Iterator[str]:
    server = os.environ.get("MLCICD_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("PostgreSQL is tried where MLCICD_TEST_POSTGRES_URL names a server")
    schema = f"records_{uuid4().hex}"
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    url = sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"})
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


def record(
    asset: str = "flights/raw_data", partition: str | None = "2013-01", **changes: object
) -> Materialization:
    made = Materialization(
        asset=asset,
        partition=partition,
        code="c" * 16,
        inputs={"file": "f" * 64},
        content="a" * 64,
        at="2026-11-24T05:00:00+00:00",
        run="run-1",
        seconds=0.25,
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_nothing_is_there_at_first(make: Make):
    assert make().all() == []


def test_reads_back_what_was_written(make: Make):
    make().write(record())

    assert make().all() == [record()]


def test_keeps_what_the_code_was_made_of_and_why_a_check_failed(make: Make):
    whole = record(
        parts={"flights/features.py:features": "1"}, parameters={"train": "120d"}, failure="roc_auc is 0.5"
    )

    make().write(whole)

    assert make().all() == [whole]


def test_the_newest_record_of_a_place_stands(make: Make):
    records = make()
    records.write(record())
    records.write(record(partition="2013-02"))

    records.write(record(content="b" * 64, run="run-2"))

    assert sorted(make().all(), key=lambda one: one.partition or "") == [
        record(content="b" * 64, run="run-2"),
        record(partition="2013-02"),
    ]


def test_an_asset_without_partitions_has_one_record(make: Make):
    make().write(record("planes/raw_data", None))
    make().write(record("planes/raw_data", None, content="b" * 64))

    (kept,) = make().all()
    assert (kept.partition, kept.content) == (None, "b" * 64)


def test_writers_at_once_lose_nothing(make: Make):
    places = [record(partition=f"p{number}") for number in range(24)]

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: make().write(one), places))

    assert {one.partition for one in make().all()} == {one.partition for one in places}


def _write(url: str, one: Materialization) -> None:
    SqlRecords(url).write(one)


def test_processes_that_create_the_database_at_once_lose_nothing(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/records.db"
    places = [record(partition=f"p{number % 3}", run=f"run-{number}") for number in range(12)]

    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(_write, [url] * len(places), places))

    assert {one.partition for one in SqlRecords(url).all()} == {"p0", "p1", "p2"}


def test_reading_creates_nothing(tmp_path: Path):
    assert SqlRecords(f"sqlite:///{tmp_path}/home/records.db").all() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("use", [lambda records: records.write(record()), lambda records: records.all()])
def test_a_database_that_cannot_be_used_is_one_clear_error(tmp_path: Path, use: Callable[[Records], object]):
    (tmp_path / "records.db").write_text(
        "this is not a database, but it is long enough to look like a file" * 20
    )

    with pytest.raises(
        ResourceError, match=r"the records at sqlite:.*records\.db cannot be used .*MLCICD_RECORDS_URL"
    ):
        use(SqlRecords(f"sqlite:///{tmp_path}/records.db"))


_OLD = """
CREATE TABLE materializations (
    asset VARCHAR(300), partition VARCHAR(100), code VARCHAR(64), inputs TEXT, content VARCHAR(64),
    at VARCHAR(40), run VARCHAR(64), seconds FLOAT, PRIMARY KEY (asset, partition)
);
INSERT INTO materializations VALUES ('a/raw_data', '', 'c', '{"file": "f"}', 'x', '2026', 'r', 1.5);
"""


def test_rows_from_before_parts_were_kept_are_read_and_written_beside(tmp_path: Path):
    with sqlite3.connect(tmp_path / "records.db") as connection:
        connection.executescript(_OLD)
    records = SqlRecords(f"sqlite:///{tmp_path}/records.db")

    old = Materialization("a/raw_data", None, "c", {"file": "f"}, "x", "2026", "r", 1.5)
    assert records.all() == [old]

    new = record(parts={"a.py:f": "1"}, parameters={"seed": "0"})
    records.write(new)
    assert records.all() == [old, new]


def test_sqlite_is_read_without_sqlalchemy_or_polars(tmp_path: Path):
    code = f"""
import sys
from resources.records import SqlRecords
SqlRecords("sqlite:///{tmp_path}/records.db").all()
sys.exit("sqlalchemy" in sys.modules or "polars" in sys.modules)
"""

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path):
    (tmp_path / "home").write_text("a file")

    with pytest.raises(ResourceError, match="cannot be used"):
        SqlRecords(f"sqlite:///{tmp_path}/home/records.db").write(record())


def test_passwords_are_not_shown():
    records = SqlRecords("postgresql://user:hush@127.0.0.1:1/none")

    assert "hush" not in repr(records)
