"""What every landing folder must do, above all with files that are not whole."""

import hashlib
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from resources.arrivals import WholeFiles
from resources.landing import LandingFolder
from resources.protocols import LandedFile, Landing, ResourceError

TEMPLATE = "landing/flights/{partition}.parquet"
FLIGHTS = pl.DataFrame(
    {
        "flight": [1, 2, 3],
        "carrier": ["UA", None, "B6, Inc."],
        "delay": [0.5, -3.0, None],
        "at": [datetime(2013, 1, 1, 5, 15), datetime(2013, 1, 1, 6, 0), datetime(2013, 1, 2)],
        "day": [date(2013, 1, 1), date(2013, 1, 1), date(2013, 1, 2)],
    }
)
WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    "parquet": lambda frame, path: frame.write_parquet(path),
    "csv": lambda frame, path: frame.write_csv(path),
    "jsonl": lambda frame, path: frame.write_ndjson(path),
    "ndjson": lambda frame, path: frame.write_ndjson(path),
}


def whole_files(root: Path) -> WholeFiles:
    """A minute later, when nothing moves any more."""
    return WholeFiles(LandingFolder(root), lambda: time.time() + 60)


@pytest.fixture(params=[LandingFolder, whole_files])
def landing(request: pytest.FixtureRequest, tmp_path: Path) -> Landing:
    (tmp_path / "landing/flights").mkdir(parents=True)
    made: Landing = request.param(tmp_path)
    return made


def put(landing: Landing, name: str, content: bytes | str | pl.DataFrame) -> Path:
    path = landing.root / "landing/flights" / name
    if isinstance(content, pl.DataFrame):
        WRITERS[path.suffix[1:]](content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(landing: Landing, name: str) -> pl.DataFrame:
    return landing.read(landing.find(f"landing/flights/{name}", None))


def test_finds_what_landed_for_a_partition(landing: Landing):
    path = put(landing, "2013-01.parquet", FLIGHTS)

    found = landing.find(TEMPLATE, "2013-01")

    assert found == LandedFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_changed_file_has_another_fingerprint(landing: Landing):
    put(landing, "2013-01.parquet", FLIGHTS)
    before = landing.find(TEMPLATE, "2013-01").fingerprint

    put(landing, "2013-01.parquet", FLIGHTS.head(2))

    assert landing.find(TEMPLATE, "2013-01").fingerprint != before


def test_a_missing_file_is_named_with_the_remedy(landing: Landing):
    with pytest.raises(
        ResourceError, match=r"landing/flights/2013-01\.parquet has not landed; let the upstream"
    ):
        landing.find(TEMPLATE, "2013-01")


def test_a_folder_in_its_place_is_named(landing: Landing):
    (landing.root / "landing/flights/2013-01.parquet").mkdir()

    with pytest.raises(ResourceError, match=r"2013-01\.parquet cannot be read"):
        landing.find(TEMPLATE, "2013-01")
    assert landing.partitions(TEMPLATE) == []


def test_lists_the_partitions_that_landed(landing: Landing):
    for name in [
        "2013-02.parquet",
        "2013-01.parquet",
        "2013-03.csv",
        ".2013-04.parquet",
        "_2013-05.parquet",
        "notes.txt",
    ]:
        put(landing, name, "PAR1 looks whole PAR1")

    assert landing.partitions(TEMPLATE) == ["2013-01", "2013-02"]
    assert landing.partitions("landing/nothing/{partition}.csv") == []


def test_the_partition_may_be_a_folder(landing: Landing):
    folder = landing.root / "landing/days/2026-01-01"
    folder.mkdir(parents=True)
    (folder / "part.csv").write_text("a\n1\n")

    template = "landing/days/{partition}/part.csv"

    assert landing.partitions(template) == ["2026-01-01"]
    assert landing.read(landing.find(template, "2026-01-01"))["a"].to_list() == [1]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_reads_values_nulls_and_times(landing: Landing, suffix: str):
    put(landing, f"a.{suffix}", FLIGHTS)

    assert read(landing, f"a.{suffix}").equals(FLIGHTS)


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson"])
def test_reads_json_lines_with_times_as_text(landing: Landing, suffix: str):
    put(landing, f"a.{suffix}", FLIGHTS)

    made = read(landing, f"a.{suffix}")

    assert made.drop("at", "day").equals(FLIGHTS.drop("at", "day"))
    assert made["day"].to_list() == ["2013-01-01", "2013-01-01", "2013-01-02"]


def test_numbers_of_a_whole_csv_file_decide_its_types(landing: Landing):
    put(landing, "a.csv", "a,b\n" + "1,\n" * 5000 + "1.5,x\n")

    assert read(landing, "a.csv").schema == {"a": pl.Float64, "b": pl.String}


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_an_empty_file_is_refused(landing: Landing, suffix: str):
    put(landing, f"a.{suffix}", b"")

    with pytest.raises(
        ResourceError, match=rf"a\.{suffix} is empty; let the upstream system deliver it again"
    ):
        read(landing, f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_without_records_is_refused(landing: Landing, suffix: str):
    put(landing, f"a.{suffix}", FLIGHTS.clear())

    with pytest.raises(ResourceError, match="holds no records; let the upstream"):
        read(landing, f"a.{suffix}")


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_cut_short_anywhere_is_refused(landing: Landing, suffix: str):
    whole = put(landing, f"a.{suffix}", pl.concat([FLIGHTS] * 50)).read_bytes()
    line_ends = {index + 1 for index, byte in enumerate(whole) if byte in b"\n"} if suffix == "csv" else set()

    for end in range(1, len(whole), max(1, len(whole) // 40)):
        if end in line_ends:  # a text file that ends with its line looks whole
            continue
        put(landing, f"a.{suffix}", whole[:end])
        with pytest.raises(
            ResourceError, match=rf"a\.{suffix} is cut short or damaged \(.+\); let the upstream"
        ):
            read(landing, f"a.{suffix}")


def test_a_json_line_cut_short_is_refused(landing: Landing):
    put(landing, "a.jsonl", '{"a": 1}\n{"a": 2, "b"')

    with pytest.raises(ResourceError, match=r"a\.jsonl is cut short or damaged"):
        read(landing, "a.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "a,b\n1,2\n3\n4,5\n", "Expected 2 columns, got 1"),
        ("a.csv", "a,b\n1,2\n3,4,5\n", "more fields"),
        ("a.csv", 'a,b\n"x,2\n4,5\n', "could not parse"),
        ("a.csv", "a,a\n1,2\n", "header names 'a' twice"),
        ("a.csv", b"a,b\n\xff\xfe,2\n", "utf-8"),
        ("a.parquet", "a,b\n1,2\n", "does not begin like Parquet"),
        ("a.jsonl", "[1, 2]\n", "JSON object"),
        ("a.jsonl", '{"a": 1}{"a": 2}\n', ""),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(
    landing: Landing, name: str, content: bytes | str, reason: str
):
    put(landing, name, content)

    with pytest.raises(ResourceError, match=f"is cut short or damaged \\(.*{reason}.*\\); let the upstream"):
        read(landing, name)


def test_a_damaged_page_is_refused_or_read_but_never_a_crash(landing: Landing):
    whole = put(landing, "a.parquet", pl.concat([FLIGHTS] * 500)).read_bytes()

    for at in range(4, len(whole) - 4, max(1, len(whole) // 60)):
        put(landing, "a.parquet", whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read(landing, "a.parquet")
        except ResourceError as error:
            assert "a.parquet is cut short or damaged" in str(error)  # noqa: PT017 - reading may succeed


def test_another_kind_of_file_is_refused(landing: Landing):
    put(landing, "a.xlsx", "x")

    with pytest.raises(ResourceError, match=r"a\.xlsx: files end in \.parquet, \.csv"):
        read(landing, "a.xlsx")


def test_a_file_that_vanished_is_refused(landing: Landing):
    path = put(landing, "a.csv", "a\n1\n")
    found = landing.find("landing/flights/a.csv", None)
    path.unlink()

    with pytest.raises(ResourceError, match=r"a\.csv has not landed"):
        landing.read(found)
