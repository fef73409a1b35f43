"""Partition keys and the spans of time that they stand for."""

from datetime import datetime, timedelta
from functools import lru_cache

# As Dagster writes them.
FORMATS = {"hourly": "%Y-%m-%d-%H:%M", "daily": "%Y-%m-%d", "weekly": "%Y-%m-%d", "monthly": "%Y-%m"}


@lru_cache(maxsize=65536)  # sensors ask for every partition each time
def start_of(partitions: str, key: str) -> datetime:
    """The first instant of a partition; raises ValueError for a key of another kind."""
    return datetime.strptime(key, FORMATS[partitions])


def end_of(partitions: str, key: str) -> datetime:
    """The first instant after a partition."""
    start = start_of(partitions, key)
    if partitions == "monthly":
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return (
        start
        + {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}[partitions]
    )


def overlapping(partitions: str, keys: list[str], start: datetime, end: datetime) -> list[str]:
    """The keys whose span meets [start, end), sorted; dynamic partitions have no span: all of them."""
    if partitions == "dynamic":
        return sorted(keys)
    return sorted(key for key in keys if start_of(partitions, key) < end and end_of(partitions, key) > start)
