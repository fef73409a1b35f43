"""Whether a file's records fit into this machine's memory, told before the machine dies of it."""

from pathlib import Path

from resources.protocols import ResourceError

# The records, the sorted copy that their content hash is made of, and what the reader takes meanwhile.
_COPIES = 3
_HARMLESS = 100  # no file unpacks to so many times its size: not looked into
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")


def available_memory() -> int | None:
    """Bytes that can still be taken; None where this system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
    return min(free, _left_in_container() or free)


def _left_in_container() -> int | None:
    try:
        return int(_LIMIT.read_text()) - int(_USED.read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return None


def require_memory(path: Path, available: int | None, named: str) -> None:
    """Raise ResourceError when a file's records would not fit."""
    if available is None or path.stat().st_size * _HARMLESS < available:
        return
    needed = _COPIES * _size(path)
    if needed > available:
        raise ResourceError(
            f"{named} needs about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are "
            "available; deliver it in smaller partitions, or run where there is more"
        )


def _size(path: Path) -> int:
    """Bytes of the records, roughly: Parquet tells, text takes about what it is long."""
    if path.suffix != ".parquet":
        return path.stat().st_size
    import pyarrow
    import pyarrow.parquet as pq

    try:
        told = pq.read_metadata(path)
    except (pyarrow.ArrowException, OSError):  # damaged: whoever reads it tells how
        return path.stat().st_size
    unpacked = sum(told.row_group(index).total_byte_size for index in range(told.num_row_groups))
    return int(max(unpacked, told.num_rows * told.num_columns * 8))
