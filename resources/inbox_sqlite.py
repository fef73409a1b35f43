"""The inbox in one SQLite file: a delivery that was acknowledged is on disk, whole."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from resources.inbox import Delivery, Lane
from resources.protocols import ResourceError

_BUSY_S = 5  # a sender is better told to come again than kept waiting
_PAGE = 4096
_LIMIT_BYTES = 256 * 2**20
# GitHub lets people deliver again for three days; what was seen longer ago would be a replay all the same.
REPLAY_WINDOW = timedelta(days=7)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane TEXT NOT NULL,
    at TEXT NOT NULL,
    sender TEXT NOT NULL,
    key TEXT NOT NULL,
    message TEXT NOT NULL,
    done_at TEXT
);
CREATE TABLE IF NOT EXISTS seen (
    key TEXT PRIMARY KEY,
    at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS waiting ON deliveries (lane, done_at);
"""


class SqliteInbox:
    """Implements `Inbox`; a file that has reached `limit_bytes` refuses more, as a full disk does."""

    def __init__(
        self,
        path: Path,
        *,
        limit_bytes: int = _LIMIT_BYTES,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._pages = max(limit_bytes // _PAGE, 16)
        self._clock = clock

    def __repr__(self) -> str:
        return f"SqliteInbox({self._path})"

    def put(self, lane: Lane, sender: str, keys: Sequence[str], message: Mapping[str, Any]) -> bool:
        """Keep a delivery and what tells its replay, in one transaction, on disk before this returns."""
        now = self._clock()
        at, known = now.isoformat(), [f"{sender} {key}" for key in keys]
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _forget(connection, (now - REPLAY_WINDOW).isoformat())
            marks = ", ".join("?" * len(known))
            seen = f"SELECT 1 FROM seen WHERE key IN ({marks}) LIMIT 1"  # noqa: S608  question marks
            if connection.execute(seen, known).fetchone():
                return False
            connection.executemany(
                "INSERT OR IGNORE INTO seen (key, at) VALUES (?, ?)", [(key, at) for key in known]
            )
            connection.execute(
                "INSERT INTO deliveries (lane, at, sender, key, message) VALUES (?, ?, ?, ?, ?)",
                (lane, at, sender, keys[0], json.dumps(dict(message), sort_keys=True)),
            )
            return True

    def waiting(self, lane: Lane) -> list[Delivery]:
        """Those that nobody has acted on, oldest first; none where nothing was ever delivered."""
        if not self._path.exists():
            return []
        asked = "SELECT id, at, sender, key, message FROM deliveries WHERE lane = ? AND done_at IS NULL"
        with self._connection() as connection:
            rows = connection.execute(f"{asked} ORDER BY id", (lane,)).fetchall()
        return [Delivery(row[0], lane, row[1], row[2], row[3], json.loads(row[4])) for row in rows]

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """They were acted on; they are kept for the replay window."""
        if not deliveries:
            return
        at = self._clock().isoformat()
        with self._connection() as connection:
            connection.executemany(
                "UPDATE deliveries SET done_at = ? WHERE id = ?", [(at, one.id) for one in deliveries]
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_BUSY_S)
            try:
                with connection:  # commits, or rolls back whole
                    self._prepare(connection)
                    yield connection
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise ResourceError(
                f"the inbox {self._path} failed: {error}; see that its disk has room and can be written"
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Without a write-ahead log: what is committed is in the file, and a full disk leaves no second one.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA max_page_count={self._pages}")
        there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'seen'").fetchone()
        if there is None:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")


def _forget(connection: sqlite3.Connection, before: str) -> None:
    connection.execute("DELETE FROM seen WHERE at < ?", (before,))
    connection.execute("DELETE FROM deliveries WHERE done_at IS NOT NULL AND done_at < ?", (before,))
