"""Queries: bound, typed, and never telling the password."""

from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from resources.protocols import ResourceError
from resources.source_sql import SqlWarehouse

JANUARY = {"partition": "2026-01", "start": datetime(2026, 1, 1), "end": datetime(2026, 2, 1)}


@pytest.fixture
def warehouse(tmp_path: Path) -> SqlWarehouse:
    url = f"sqlite:///{tmp_path}/warehouse.db"
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER, at DATETIME, note TEXT, month TEXT)"))
        insert = sa.text("INSERT INTO orders VALUES (:id, :at, :note, :month)")
        for number, month in enumerate([1, 1, 2], start=1):
            at = datetime(2026, month, 1) if number == 1 else datetime(2026, month, 15)
            connection.execute(insert, {"id": number, "at": at, "note": None, "month": f"2026-0{month}"})
    return SqlWarehouse({"URL": url})


@pytest.mark.parametrize(
    "condition", ["at >= :start AND at < :end", "month = :partition", "month = :partition AND at < :end"]
)
def test_a_query_gets_the_bounds_that_it_names(warehouse: SqlWarehouse, condition: str):
    query = "SELECT id, note FROM orders WHERE CONDITION ORDER BY id".replace("CONDITION", condition)

    frame = warehouse.query(query, "URL", JANUARY)

    assert frame.to_dicts() == [{"id": 1, "note": None}, {"id": 2, "note": None}]


def test_a_partition_key_is_a_value_and_never_sql(warehouse: SqlWarehouse):
    hostile = {**JANUARY, "partition": "' OR 1=1; DROP TABLE orders; --"}

    with pytest.raises(ResourceError, match="has no records for"):
        warehouse.query("SELECT id FROM orders WHERE month = :partition", "URL", hostile)
    assert warehouse.query("SELECT id FROM orders", "URL", {}).height == 3


def test_a_query_without_records_is_refused(warehouse: SqlWarehouse):
    with pytest.raises(ResourceError, match=r"URL \(sqlite:.*\) has no records for 2026-01: SELECT"):
        warehouse.query("SELECT id FROM orders WHERE id > 9 AND month = :partition", "URL", JANUARY)


def test_a_wrong_query_says_what_the_database_said(warehouse: SqlWarehouse):
    with pytest.raises(ResourceError, match=r"no such column: idd; correct the query"):
        warehouse.query("SELECT idd FROM orders", "URL", {})


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///file:/nowhere/at/all?uri=true&token=s3cr%25t",
        "nodriver://user:s3cr%25t@127.0.0.1:1/base",
        "nodriver+other://user:s3cr%25t@127.0.0.1:1/base?sslpassword=s3cr%25t",
        "user:s3cr%t@host",
    ],
)
def test_no_error_tells_the_password(url: str):
    with pytest.raises(ResourceError) as caught:
        SqlWarehouse({"URL": url}).query("SELECT 1", "URL", {})

    chain: list[BaseException | None] = [caught.value, caught.value.__cause__]
    told = " ".join(str(error) for error in chain)
    assert "URL" in told
    assert "s3cr%t" not in told
    assert "s3cr%25t" not in told
    assert "s3cr" not in repr(SqlWarehouse({"URL": url}))


def test_a_missing_address_is_named():
    with pytest.raises(ResourceError, match="the environment variable URL is not set"):
        SqlWarehouse({}).query("SELECT 1", "URL", {})
