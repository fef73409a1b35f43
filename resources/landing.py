"""The folder where upstream systems let files land: csv, parquet and json lines."""

import csv
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from resources import landing_remote
from resources.memory import available_memory, require_memory
from resources.protocols import LandedFile, ResourceError
from resources.wholeness import unfinished

if TYPE_CHECKING:  # imported where records are read: to know what has landed needs no polars
    import polars as pl

_BLOCK = 1 << 20
_REMEDY = "let the upstream system deliver it again"


class _DamagedError(ValueError):
    """A file that is not whole; says what is wrong with it."""


def _damages() -> tuple[type[BaseException], ...]:
    from polars.exceptions import PanicException, PolarsError

    # A panic is what polars does when a damaged page contradicts the file's own footer.
    return (_DamagedError, PolarsError, PanicException, UnicodeDecodeError, OSError)


def file_fingerprint(path: Path) -> str:
    """Hex SHA-256 of a file's bytes; raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class LandingFolder:
    """Implements `Landing`: templates are relative to `root`, the home, or addresses such as `s3://…`.

    Who only asks what is there may know the fingerprints of unchanged files without reading them again.
    """

    root: Path
    fingerprint: Callable[[Path], str] = file_fingerprint
    available: Callable[[], int | None] = available_memory

    def find(self, template: str, partition: str | None) -> LandedFile:
        """Locate and fingerprint a file; raises ResourceError when it is missing or unreadable."""
        if landing_remote.is_remote(template):
            return landing_remote.find(template, partition)
        path = self.root / template.replace("{partition}", partition or "")
        try:
            return LandedFile(path, self.fingerprint(path))
        except FileNotFoundError:
            raise ResourceError(f"{path} has not landed; {_REMEDY}, or correct source.files") from None
        except OSError as error:
            raise ResourceError(f"{path} cannot be read ({error.strerror}); make it readable") from error

    def partitions(self, template: str) -> list[str]:
        """The partition keys whose files have landed, sorted; .files and _files are not whole yet."""
        if landing_remote.is_remote(template):
            return landing_remote.partitions(template)
        pattern = re.compile(re.escape(template).replace(r"\{partition\}", "(?P<key>[^/._][^/]*)", 1))
        found = (
            pattern.fullmatch(path.relative_to(self.root).as_posix())
            for path in self.root.glob(template.replace("{partition}", "*"))
            if path.is_file()
        )
        return sorted(match["key"] for match in found if match)

    def read(self, landed: LandedFile) -> "pl.DataFrame":
        """Read by suffix; raises ResourceError naming the file, what is wrong and the remedy."""
        if landed.uri is None:
            return self._read(landed.path, str(landed.path))
        with landing_remote.local_copy(landed) as copy:
            return self._read(copy, landed.uri)

    def _read(self, path: Path, named: str) -> "pl.DataFrame":
        reader = _READERS.get(path.suffix)
        if reader is None:
            raise ResourceError(f"{named}: files end in {', '.join(_READERS)}; rename it or convert it")
        try:
            if path.stat().st_size == 0:
                raise ResourceError(f"{named} is empty; {_REMEDY}")
            require_memory(path, self.available(), named)
            frame = reader(path)
        except FileNotFoundError:
            raise ResourceError(f"{named} has not landed; {_REMEDY}") from None
        except PermissionError as error:
            raise ResourceError(f"{named} cannot be read ({error.strerror}); make it readable") from error
        except _damages() as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ResourceError(f"{named} is cut short or damaged ({reason}); {_REMEDY}") from error
        if frame.is_empty():
            raise ResourceError(f"{named} holds no records; {_REMEDY}")
        return frame


def _require_whole(path: Path) -> None:
    with path.open("rb") as file:
        problem = unfinished(file, path.suffix)
    if problem:
        raise _DamagedError(problem)


def _parquet(path: Path) -> "pl.DataFrame":
    import polars as pl

    _require_whole(path)
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


def _csv(path: Path) -> "pl.DataFrame":
    """Comma-separated with a header; every line, the last as well, ends with a newline and has every field.

    A file that is cut within its last field can't be told from a whole one otherwise.
    """
    import polars as pl

    _require_whole(path)
    with path.open(encoding="utf-8-sig", newline="") as text:
        header = next(csv.reader(text), [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise _DamagedError(f"its header names {', '.join(map(repr, twice))} twice")
    frame = pl.read_csv(path, try_parse_dates=True, infer_schema_length=None, glob=False)
    if frame.width and frame.to_series(-1).null_count():
        _refuse_short_lines(path, header)
    return frame


def _refuse_short_lines(path: Path, header: list[str]) -> None:
    """Arrow's parser refuses a line without all its fields, which polars reads as nulls."""
    import pyarrow
    from pyarrow import csv as arrow_csv

    lines = arrow_csv.ParseOptions(newlines_in_values=True)
    texts = arrow_csv.ConvertOptions(column_types=dict.fromkeys(header, pyarrow.string()))
    try:
        with arrow_csv.open_csv(path, parse_options=lines, convert_options=texts) as batches:
            for _ in batches:
                pass
    except pyarrow.ArrowInvalid as error:
        raise _DamagedError(str(error)) from error


def _json_lines(path: Path) -> "pl.DataFrame":
    import polars as pl

    return pl.read_ndjson(path, infer_schema_length=None)


_READERS: Mapping[str, Callable[[Path], "pl.DataFrame"]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
}
