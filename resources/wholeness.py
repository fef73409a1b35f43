"""Whether a file looks whole, by its first and last bytes: nothing else is read."""

import json
import os
from typing import BinaryIO

_MAGIC = b"PAR1"
_TAIL = 1 << 16


def unfinished(file: BinaryIO, suffix: str) -> str:
    """What is missing of a csv, Parquet or json lines file; empty when nothing seems to be."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return "it is empty"
    if suffix == ".parquet":
        return _parquet(file, size)
    if suffix == ".csv":
        return "" if _tail(file, size, 1) in b"\r\n" else "its last line does not end with a newline"
    return _json_lines(_tail(file, size, _TAIL))


def _parquet(file: BinaryIO, size: int) -> str:
    file.seek(0)
    if file.read(4) != _MAGIC:
        return "it does not begin like Parquet"
    return "" if size > 2 * len(_MAGIC) and _tail(file, size, 4) == _MAGIC else "it does not end like Parquet"


def _json_lines(tail: bytes) -> str:
    """Writers may leave out the last newline: then the last line must be JSON by itself."""
    if tail.endswith((b"\n", b"\r")):
        return ""
    line = tail.splitlines()[-1]
    if len(line) == _TAIL:
        return ""  # too long to say
    try:
        json.loads(line)
    except ValueError:
        return "its last line is not whole"
    return ""


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(-min(size, length), os.SEEK_END)
    return file.read(length)
