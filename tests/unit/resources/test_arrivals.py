"""Files that are still being written are waited for, at home and in object storage."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.arrivals import WholeFiles
from resources.file_manifest import FileManifest
from resources.landing import LandingFolder, file_fingerprint
from resources.protocols import Arrivals, ResourceError
from resources.wholeness import unfinished

ROWS = pl.DataFrame({"flight": [1, 2], "carrier": ["UA", None]})
TEMPLATE = "landing/flights/{partition}.parquet"


class Clock:
    """Runs ahead of the file system's by what the test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def landing(tmp_path: Path, clock: Clock) -> WholeFiles:
    (tmp_path / "landing/flights").mkdir(parents=True)
    manifest = FileManifest(tmp_path / "cache/landed.json", file_fingerprint)
    return WholeFiles(LandingFolder(tmp_path, manifest.fingerprint), clock)


def path(landing: WholeFiles, name: str = "2013-01.parquet") -> Path:
    return landing.root / "landing/flights" / name


def test_a_file_counts_when_it_has_stood_still(landing: WholeFiles, clock: Clock) -> None:
    folder: Arrivals = landing
    ROWS.write_parquet(path(landing))

    before = folder.look(TEMPLATE)
    assert before.whole == {}
    assert "a moment ago" in before.unfinished["2013-01"].problem
    assert folder.partitions(TEMPLATE) == []

    clock.ahead = 2.1
    assert folder.look(TEMPLATE).whole == {"2013-01": file_fingerprint(path(landing))}
    assert folder.partitions(TEMPLATE) == ["2013-01"]


def test_a_file_that_grows_is_waited_for_however_long(landing: WholeFiles, clock: Clock) -> None:
    file = path(landing)
    ROWS.write_parquet(file)
    whole = file.read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        clock.ahead += 60
        assert landing.look(TEMPLATE).whole == {}
    file.write_bytes(whole)
    clock.ahead += 60

    assert list(landing.look(TEMPLATE).whole) == ["2013-01"]


def test_how_long_it_has_not_been_whole_is_told(landing: WholeFiles, clock: Clock) -> None:
    path(landing).write_bytes(b"PAR1 and then nothing")
    clock.ahead = 10
    landing.look(TEMPLATE)
    clock.ahead = 1010

    waiting = landing.look(TEMPLATE).unfinished["2013-01"]

    assert waiting.name == str(path(landing))
    assert waiting.problem == "it does not end like Parquet"
    assert waiting.seconds == pytest.approx(1000, abs=5)


def test_a_whole_file_that_is_written_anew_is_waited_for_again(landing: WholeFiles, clock: Clock) -> None:
    ROWS.write_parquet(path(landing))
    clock.ahead = 5
    first = landing.look(TEMPLATE).whole["2013-01"]

    path(landing).write_bytes(b"PAR1")
    assert "2013-01" in landing.look(TEMPLATE).unfinished
    clock.ahead = 10
    assert "2013-01" in landing.look(TEMPLATE).unfinished
    ROWS.head(1).write_parquet(path(landing))
    clock.ahead = 20

    assert landing.look(TEMPLATE).whole["2013-01"] != first


def test_a_file_from_the_future_counts_at_the_second_look(landing: WholeFiles, clock: Clock) -> None:
    ROWS.write_parquet(path(landing))
    os.utime(path(landing), (time.time() + 10_000,) * 2)
    clock.ahead = 5

    assert landing.look(TEMPLATE).whole == {}
    clock.ahead = 8
    assert list(landing.look(TEMPLATE).whole) == ["2013-01"]


@pytest.mark.parametrize(
    "name", [".2013-02.parquet", "_2013-02.parquet", "2013-02.tmp.parquet", "2013-02.part.parquet"]
)
def test_temporary_names_are_not_looked_at(landing: WholeFiles, clock: Clock, name: str) -> None:
    ROWS.write_parquet(path(landing, name))
    clock.ahead = 5

    found = landing.look(TEMPLATE)

    assert (found.whole, found.unfinished) == ({}, {})


def test_an_unpartitioned_file(landing: WholeFiles, clock: Clock) -> None:
    assert landing.look("landing/planes.csv").whole == {}
    ROWS.write_csv(landing.root / "landing/planes.csv")
    clock.ahead = 5

    assert list(landing.look("landing/planes.csv").whole) == [None]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(landing: WholeFiles, clock: Clock) -> None:
    ROWS.write_parquet(path(landing))
    path(landing).chmod(0)
    clock.ahead = 5

    assert "cannot be read" in landing.look(TEMPLATE).unfinished["2013-01"].problem


@given(cut=st.integers(min_value=0, max_value=10_000))
@pytest.mark.parametrize(("suffix", "how"), [(".parquet", "write_parquet"), (".csv", "write_csv")])
def test_no_cut_within_a_line_or_a_footer_looks_whole(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, how: str, cut: int
) -> None:
    file = tmp_path_factory.getbasetemp() / f"cut{suffix}"
    getattr(ROWS, how)(file)
    content = file.read_bytes()
    with file.open("rb") as whole:
        assert unfinished(whole, suffix) == ""
    part = content[: min(cut, len(content) - 1)]
    file.write_bytes(part)

    with file.open("rb") as left:
        said = unfinished(left, suffix)

    # A csv that is cut behind a line is whole as far as anybody can tell.
    assert said or (suffix == ".csv" and part.endswith(b"\n"))


@pytest.mark.parametrize(
    ("content", "whole"),
    [(b'{"a": 1}\n', True), (b'{"a": 1}\n{"a": 2}', True), (b'{"a": 1}\n{"a": ', False), (b"", False)],
)
def test_json_lines(tmp_path: Path, content: bytes, whole: bool) -> None:
    (tmp_path / "x.jsonl").write_bytes(content)
    with (tmp_path / "x.jsonl").open("rb") as file:
        assert (unfinished(file, ".jsonl") == "") is whole


# -- object storage ---------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        (tmp_path / "bucket").mkdir()
        yield f"file://{tmp_path}/bucket"
        return
    address = f"memory://{uuid.uuid4().hex}"
    yield address
    system, root = fsspec.core.url_to_fs(address)
    if system.exists(root):
        system.rm(root, recursive=True)


def put(uri: str, content: bytes | pl.DataFrame) -> None:
    with fsspec.open(uri, "wb") as file:
        content.write_parquet(file) if isinstance(content, pl.DataFrame) else file.write(content)


def test_objects_without_a_checksum_are_waited_for_too(
    landing: WholeFiles, clock: Clock, bucket: str
) -> None:
    template = f"{bucket}/{{partition}}.parquet"
    put(f"{bucket}/2013-01.parquet", ROWS)
    put(f"{bucket}/2013-02.parquet", b"PAR1 half")
    put(f"{bucket}/_2013-03.parquet", ROWS)
    assert landing.look(template).whole == {}

    clock.ahead = 5
    found = landing.look(template, fresh=True)

    assert found.whole == {"2013-01": LandingFolder(landing.root).find(template, "2013-01").fingerprint}
    assert list(found.unfinished) == ["2013-02"]


def test_objects_are_listed_once_a_minute_unless_somebody_tells(
    landing: WholeFiles, clock: Clock, bucket: str
) -> None:
    template = f"{bucket}/{{partition}}.parquet"
    put(f"{bucket}/2013-01.parquet", ROWS)
    landing.look(template)
    clock.ahead = 5
    assert landing.look(template).whole == {}

    assert list(landing.look(template, fresh=True).whole) == ["2013-01"]
    put(f"{bucket}/2013-02.parquet", ROWS)
    clock.ahead = 60
    assert landing.partitions(template) == ["2013-01"]
    clock.ahead = 70
    assert landing.partitions(template) == ["2013-01", "2013-02"]


def test_a_checksum_of_the_store_says_that_an_object_is_whole(
    landing: WholeFiles, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    system, _ = fsspec.core.url_to_fs(bucket)
    glob = type(system).glob
    monkeypatch.setattr(
        type(system),
        "glob",
        lambda self, path, **more: {
            name: {**said, "ETag": "abc"} for name, said in glob(self, path, **more).items()
        },
    )
    put(f"{bucket}/2013-01.parquet", ROWS)

    assert list(landing.look(f"{bucket}/{{partition}}.parquet").whole) == ["2013-01"]


def test_storage_that_cannot_be_reached_is_told(landing: WholeFiles) -> None:
    with pytest.raises(ResourceError, match="nowhere"):
        landing.look("nowhere://bucket/{partition}.parquet")
