"""Where records come from: exactly one source, which tells partitions apart exactly when there are some."""

from typing import Any

import pytest
from pydantic import ValidationError

from mlcicd_assets.ml.declarations import DatasetDeclaration

SQL = "SELECT * FROM t WHERE at >= :start AND at < :end"
MONTHLY = {"partitions": "monthly", "start": "2026-01-01"}


def declared(source: dict[str, Any], **more: Any) -> DatasetDeclaration:
    fields = {"name": "d", "owner": "team:d", "contract": "dataset.py:D", "source": source}
    return DatasetDeclaration.model_validate(fields | more)


@pytest.mark.parametrize(
    ("source", "more", "named"),
    [
        ({"files": "landing/{partition}.csv"}, MONTHLY, "landing/{partition}.csv"),
        ({"files": "s3://bucket/d/{partition}.parquet"}, MONTHLY, "s3://bucket/d/{partition}.parquet"),
        ({"files": "landing/{partition}.csv"}, {"partitions": "dynamic"}, "landing/{partition}.csv"),
        ({"files": "landing/all.jsonl"}, {}, "landing/all.jsonl"),
        ({"sql": SQL, "url_env": "WAREHOUSE_URL"}, MONTHLY, "a query of WAREHOUSE_URL"),
        ({"sql": "SELECT a::int FROM t", "url_env": "WAREHOUSE_URL"}, {}, "a query of WAREHOUSE_URL"),
        ({"python": "dataset.py:read"}, MONTHLY, "dataset.py:read"),
        ({"python": "dataset.py:read"}, {}, "dataset.py:read"),
    ],
)
def test_a_source_is_accepted_and_named(source: dict[str, Any], more: dict[str, Any], named: str):
    assert declared(source, **more).source.named == named


@pytest.mark.parametrize(
    ("source", "more", "told"),
    [
        ({}, {}, "exactly one of files, sql and python, not none"),
        ({"files": "a.csv", "python": "dataset.py:read"}, {}, "not files, python"),
        ({"sql": "SELECT 1"}, {}, "sql comes with url_env"),
        ({"files": "a.csv", "url_env": "URL"}, {}, "sql comes with url_env"),
        ({"files": "a.csv", "watermark": "SELECT 1"}, {}, "'watermark' is of a sql source"),
        ({"files": "a.csv"}, MONTHLY, r"source.files names '{partition}' exactly when"),
        ({"files": "{partition}.csv"}, {}, r"source.files names '{partition}' exactly when"),
        ({"sql": "SELECT a::start FROM t", "url_env": "URL"}, MONTHLY, r"source.sql names :start and :end"),
        ({"sql": SQL, "url_env": "URL"}, {}, r"source.sql names :start and :end"),
        ({"files": "s3://bucket/a.xlsx"}, {}, "files end in .parquet"),
        ({"files": "s3://bucket/../a.csv"}, {}, "without '..'"),
        ({"files": "{partition}.csv"}, {"partitions": "daily"}, "'start' is needed with partitions"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_in_plain_words(
    source: dict[str, Any], more: dict[str, Any], told: str
):
    with pytest.raises(ValidationError) as caught:
        declared(source, **more)

    assert told in str(caught.value)
