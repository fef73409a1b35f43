"""Records in one SQLite file, by the standard library."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resources.records import COLUMNS, LATER, TABLE

_BUSY_S = 30
_CREATE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    asset VARCHAR(300) NOT NULL,
    partition VARCHAR(100) NOT NULL,
    code VARCHAR(64) NOT NULL,
    inputs TEXT NOT NULL,
    content VARCHAR(64) NOT NULL,
    at VARCHAR(40) NOT NULL,
    run VARCHAR(64) NOT NULL,
    seconds FLOAT NOT NULL,
    parts TEXT NOT NULL DEFAULT '{{}}',
    parameters TEXT NOT NULL DEFAULT '{{}}',
    failure TEXT NOT NULL DEFAULT '',
    details TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (asset, partition)
)
"""
_REPLACE = (
    f"INSERT OR REPLACE INTO {TABLE} ({', '.join(COLUMNS)}) "  # noqa: S608  our own column names
    f"VALUES ({', '.join(f':{name}' for name in COLUMNS)})"
)
_SELECT = f"SELECT * FROM {TABLE} ORDER BY asset, partition"  # noqa: S608  our own table


class SqliteRows:
    """Implements `RowStore`; a file from before a column existed gets the column with the first write."""

    failures: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._ready = False

    def replace(self, row: Mapping[str, Any]) -> None:
        """Put a row in the place of the one with the same asset and partition."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            if not self._ready:
                _prepare(connection)
                self._ready = True
            connection.execute(_REPLACE, row)

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """Every row, by asset and partition; none where nothing was ever written."""
        if not self._path.exists():
            return []
        with self._connection() as connection:
            known = "SELECT 1 FROM sqlite_master WHERE name = ?"
            if connection.execute(known, (TABLE,)).fetchone() is None:
                return []
            return [dict(row) for row in connection.execute(_SELECT)]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S)
        connection.row_factory = sqlite3.Row
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    # Readers and one writer do not wait for each other.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("BEGIN IMMEDIATE")  # two processes that make the table take turns
    connection.execute(_CREATE)
    there = {row["name"] for row in connection.execute(f"PRAGMA table_info({TABLE})")}
    for name, default in LATER.items():
        if name not in there:
            connection.execute(f"ALTER TABLE {TABLE} ADD COLUMN {name} TEXT NOT NULL DEFAULT '{default}'")
