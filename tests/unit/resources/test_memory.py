"""A file that would not fit into memory is refused before it is read."""

from pathlib import Path

import polars as pl
import pytest

from resources.landing import LandingFolder
from resources.memory import available_memory
from resources.protocols import ResourceError

ROWS = pl.DataFrame({"number": range(100_000), "text": ["the same text"] * 100_000})


@pytest.mark.parametrize(("suffix", "how"), [("parquet", "write_parquet"), ("csv", "write_csv")])
def test_a_file_that_does_not_fit_is_refused_with_what_it_needs(tmp_path: Path, suffix: str, how: str):
    path = tmp_path / f"large.{suffix}"
    getattr(ROWS, how)(path)
    small = LandingFolder(tmp_path, available=lambda: 1_000_000)

    with pytest.raises(
        ResourceError, match=r"needs about 0.0 GB of memory, and 0.0 GB are available; deliver"
    ):
        small.read(small.find(path.name, None))


def test_a_file_that_fits_is_read(tmp_path: Path):
    ROWS.write_parquet(tmp_path / "large.parquet")

    for available in (None, 100_000_000):
        landing = LandingFolder(tmp_path, available=lambda have=available: have)
        assert landing.read(landing.find("large.parquet", None)).height == ROWS.height


def test_a_small_damaged_file_is_called_damaged_and_not_large(tmp_path: Path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1" + b"x" * 10_000)
    landing = LandingFolder(tmp_path, available=lambda: 100_000)

    with pytest.raises(ResourceError, match="cut short or damaged"):
        landing.read(landing.find("bad.parquet", None))


def test_this_machine_has_memory():
    assert (available_memory() or 1) > 0
