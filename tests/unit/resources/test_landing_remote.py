"""Files in object storage: found, told apart by content, and read like those that land at home."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import polars as pl
import pytest

from resources.landing import LandingFolder
from resources.protocols import ResourceError

ROWS = pl.DataFrame({"flight": [1, 2], "carrier": ["UA", None]})


@pytest.fixture(params=["memory", "file"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        (tmp_path / "bucket").mkdir()
        yield f"file://{tmp_path}/bucket"
        return
    address = f"memory://{uuid.uuid4().hex}"
    yield address
    system, path = fsspec.core.url_to_fs(address)
    if system.exists(path):
        system.rm(path, recursive=True)


def put(uri: str, frame: pl.DataFrame, how: str = "write_parquet") -> None:
    with fsspec.open(uri, "wb") as file:
        getattr(frame, how)(file)


@pytest.mark.parametrize(
    ("suffix", "how"), [("parquet", "write_parquet"), ("csv", "write_csv"), ("jsonl", "write_ndjson")]
)
def test_reads_what_landed_for_a_partition(bucket: str, suffix: str, how: str, tmp_path: Path):
    landing = LandingFolder(tmp_path)
    put(f"{bucket}/2013-01.{suffix}", ROWS, how)

    found = landing.find(f"{bucket}/{{partition}}.{suffix}", "2013-01")

    assert found.uri == f"{bucket}/2013-01.{suffix}"
    assert landing.read(found).equals(ROWS)
    assert landing.partitions(f"{bucket}/{{partition}}.{suffix}") == ["2013-01"]


def test_other_content_has_another_fingerprint_and_the_same_has_not(bucket: str, tmp_path: Path):
    landing = LandingFolder(tmp_path)
    uri = f"{bucket}/2013-01.parquet"
    put(uri, ROWS)
    first = landing.find(uri, None).fingerprint

    put(uri, ROWS)
    again = landing.find(uri, None).fingerprint
    put(uri, ROWS.head(1))

    assert first == again
    assert landing.find(uri, None).fingerprint != first


def test_what_has_not_landed_is_named_by_its_address(bucket: str, tmp_path: Path):
    with pytest.raises(ResourceError, match=r"2013-02.parquet has not landed; let the upstream"):
        LandingFolder(tmp_path).find(f"{bucket}/{{partition}}.parquet", "2013-02")


def test_a_damaged_object_is_named_by_its_address(bucket: str, tmp_path: Path):
    landing = LandingFolder(tmp_path)
    uri = f"{bucket}/2013-01.parquet"
    with fsspec.open(uri, "wb") as file:
        file.write(b"not parquet at all")

    with pytest.raises(ResourceError, match=rf"{uri} is cut short or damaged"):
        landing.read(landing.find(uri, None))


def test_a_store_that_nobody_knows_is_one_clear_error(tmp_path: Path):
    with pytest.raises(ResourceError, match=r"nowhere://bucket/a.parquet cannot be read .*source.files"):
        LandingFolder(tmp_path).find("nowhere://bucket/a.parquet", None)
