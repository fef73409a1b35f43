"""The files of a prediction log: named by what they hold, so nobody needs a lock and nothing counts twice.

`<folder>/<start of the process>-<first flush>-<last flush>.parquet`. A file appears whole (temporary file,
then rename). Merged files name the flushes that they stand for: a reader passes over what another file holds,
so a kill between the merge and the removal of its parts makes no row appear twice.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl


@dataclass(frozen=True)
class LogFile:
    """One file, and the flushes of one process that it holds."""

    path: Path
    process: str
    first: int
    last: int

    @classmethod
    def parse(cls, path: Path) -> "LogFile | None":
        """Read a name; None for a file that is none of the log's."""
        process, _, flushes = path.stem.partition("-")
        first, _, last = flushes.partition("-")
        if path.suffix != ".parquet" or not (process and first.isdigit() and last.isdigit()):
            return None
        return cls(path, process, int(first), int(last))

    def within(self, other: "LogFile") -> bool:
        """Whether another file holds all of this one."""
        same = self.process == other.process and self != other
        return same and other.first <= self.first and self.last <= other.last


def listed(folder: Path) -> list[LogFile]:
    """The files that count, oldest first; empty when there is no folder."""
    found = [file for path in folder.glob("*.parquet") if (file := LogFile.parse(path))]
    found.sort(key=lambda file: (file.process, file.first, -file.last))
    kept: list[LogFile] = []
    for file in found:
        if not (kept and file.within(kept[-1])):
            kept.append(file)
    return kept


def write(folder: Path, process: str, first: int, last: int, frame: pl.DataFrame) -> LogFile:
    """Write a file whole or not at all; raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{process}-{first:08d}-{last:08d}.parquet"
    scratch = path.with_suffix(".new")
    try:
        with scratch.open("wb") as file:
            frame.write_parquet(file, compression="zstd", compression_level=1, statistics=False)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return LogFile(path, process, first, last)


def merge(folder: Path, parts: list[LogFile]) -> LogFile:
    """Put consecutive files of one process into one; raises OSError."""
    frame = pl.concat([pl.read_parquet(part.path) for part in parts], how="diagonal_relaxed")
    merged = write(folder, parts[0].process, parts[0].first, parts[-1].last, frame)
    remove(part.path for part in parts)
    return merged


def expire(folder: Path, *, keep_s: float, max_bytes: int) -> int:
    """Remove what is too old, then the oldest of what is too much; returns how many files went."""
    files = [(file.path, file.path.stat()) for file in listed(folder)]
    left, old = sum(stat.st_size for _, stat in files), time.time() - keep_s
    gone: list[Path] = []
    for path, stat in files:
        if stat.st_mtime < old or left > max_bytes:
            gone.append(path)
            left -= stat.st_size
    remove(gone)
    return len(gone)


def remove(paths: Iterable[Path]) -> None:
    """Remove files; those that are gone already are no fault."""
    for path in paths:
        path.unlink(missing_ok=True)
