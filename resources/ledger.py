"""The ledger in SQL: SQLite in the home, or PostgreSQL by URL.

Append-only and hash-chained; a pointer moves by compare-and-set in the transaction that adds its line.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from resources.ledger_schema import GENESIS, entries, install, pointers
from resources.protocols import Conflict, Entry, ResourceError
from resources.redaction import redact, redact_value

_BUSY_SECONDS = 30
_SHOWN = 80  # characters of a pointer's value in an error


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class SqlLedger:
    """`url` is an SQLAlchemy URL; `sqlite:////home/ledger.db` makes file and tables on first write.

    The clock stamps the lines; it is a parameter so that history can be replayed in tests.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._url = make_url(url)
        self._clock = clock
        self._engine = _engine(self._url)
        self._ready = False
        self._first = threading.Lock()

    def __repr__(self) -> str:
        return f"SqlLedger({self._place})"

    def append(
        self,
        action: str,
        model: str,
        *,
        actor: str,
        reason: str = "",
        version: int | None = None,
        digest: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Add a line; raises ResourceError, ValueError when the details are not JSON."""
        line = _line(action, model, actor, reason, version, digest, details)
        with self._transaction(write=True) as connection:
            return self._add(connection, line)

    def pointer(self, name: str) -> str | None:
        """The value of a pointer; None before it is first moved."""
        with self._transaction() as connection:
            return _value(connection, name)

    def move(
        self,
        name: str,
        *,
        expected: str | None,
        new: str | None,
        action: str,
        model: str,
        actor: str,
        reason: str = "",
        version: int | None = None,
        digest: str | None = None,
        details: Mapping[str, Any] | None = None,
        holding: Mapping[str, str | None] | None = None,
    ) -> Entry:
        """Compare-and-set the pointer and add its line in one transaction; raises Conflict.

        `holding`: other pointers that must stand so in the same transaction, or nothing moves.
        """
        line = _line(action, model, actor, reason, version, digest, details)
        line["details"] = {**line["details"], "pointer": {"name": name, "from": expected, "to": new}}
        with self._transaction(write=True) as connection:
            for pointer, wanted in {**(holding or {}), name: expected}.items():
                _require(connection, pointer, wanted)
            entry = self._add(connection, line)
            _set(connection, name, new, entry.seq)
            return entry

    def entries(self, model: str | None = None, *, after: int = 0) -> list[Entry]:
        """The lines, oldest first; `after`: those that came after the line of this number."""
        with self._transaction() as connection:
            return _read(connection, model, after)

    def verify(self) -> int:
        """Prove the chain and the pointers; returns the number of lines.

        Raises ResourceError at the first line or pointer that is not as it was written. What no chain can
        show is a tail that was cut off together with everything that pointed into it.
        """
        with self._transaction() as connection:
            lines, standing = _read(connection), dict(_pointers(connection))
        moved: dict[str, tuple[str | None, int]] = {}
        previous = GENESIS
        for number, entry in enumerate(lines, start=1):
            if (entry.seq, entry.previous_hash, entry.hash) != (number, previous, entry_hash(entry)):
                raise ResourceError(f"the ledger {self._place} was tampered with at line {number}")
            previous = entry.hash
            _replay(entry, moved, self._place)
        for name in sorted(moved.keys() | standing.keys()):
            if moved.get(name) != standing.get(name):
                raise ResourceError(
                    f"the ledger {self._place} was tampered with: "
                    f"the pointer {name} does not stand where its last line moved it"
                )
        return len(lines)

    @property
    def _place(self) -> str:
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[Connection]:
        try:
            self._install()
            options = self._options(write)
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                if write and self._engine.dialect.name == "postgresql":
                    # One writer at a time, so that the chain has no forks; readers are not held up.
                    connection.execute(sa.text("LOCK TABLE ledger_entries IN EXCLUSIVE MODE"))
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise ResourceError(
                f"the ledger {self._place} failed: {_plain(error)}. "
                "Check that it can be reached and written, or name another by MLCICD_LEDGER_URL"
            ) from error

    def _options(self, write: bool) -> dict[str, Any]:
        if write or self._engine.dialect.name == "sqlite":
            return {"writes": write}
        return {"isolation_level": "REPEATABLE READ"}  # lines and pointers of one moment, as SQLite gives

    def _install(self) -> None:
        with self._first:
            if not self._ready:
                if self._engine.dialect.name == "sqlite" and self._url.database:
                    Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
                install(self._engine)
                self._ready = True

    def _add(self, connection: Connection, line: Mapping[str, Any]) -> Entry:
        last = connection.execute(
            sa.select(entries.c.seq, entries.c.hash).order_by(entries.c.seq.desc()).limit(1)
        ).first()
        entry = Entry(
            **line,
            seq=last.seq + 1 if last else 1,
            at=self._clock().astimezone(UTC).isoformat(),
            previous_hash=last.hash if last else GENESIS,
            hash="",
        )
        entry = Entry(**{**asdict(entry), "hash": entry_hash(entry)})
        connection.execute(entries.insert().values(**{**asdict(entry), "details": _canonical(entry.details)}))
        return entry


def _engine(url: sa.URL) -> Engine:
    try:
        if url.get_backend_name() != "sqlite":
            return sa.create_engine(url, pool_pre_ping=True)
        # No pool: a connection kept across fork() corrupts SQLite's locks.
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": _BUSY_SECONDS})
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        raise ResourceError(
            f"the ledger {url.render_as_string(hide_password=True)} cannot be used: {error}"
        ) from error

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA synchronous=FULL")  # a line that was acknowledged survives a power cut

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A writer takes the lock before it reads, so that what it compared still holds when it sets.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _line(
    action: str,
    model: str,
    actor: str,
    reason: str,
    version: int | None,
    digest: str | None,
    details: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if "pointer" in (details or {}):
        raise ValueError("the detail 'pointer' is the ledger's own: use move")
    return {
        "action": action,
        "model": model,
        "actor": actor,
        "reason": redact(reason),
        "version": version,
        "digest": digest,
        # What is hashed is what comes back: tuples become lists, keys become text.
        "details": redact_value(json.loads(_canonical(details or {}))),
    }


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def entry_hash(entry: Entry) -> str:
    """Hex SHA-256 of everything a line says, the previous line's hash among it."""
    content = {key: value for key, value in asdict(entry).items() if key != "hash"}
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _value(connection: Connection, name: str) -> str | None:
    value: str | None = connection.scalar(sa.select(pointers.c.value).where(pointers.c.name == name))
    return value


def _require(connection: Connection, name: str, expected: str | None) -> None:
    found = _value(connection, name)
    if found != expected:
        raise Conflict(
            f"{name} is {_short(found)}, not {_short(expected)}: another run moved it first. "
            "Read it again before deciding anew"
        )


def _short(value: str | None) -> str:
    """A pointer may hold a whole state."""
    text = value or "unset"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _set(connection: Connection, name: str, new: str | None, seq: int) -> None:
    updated = connection.execute(
        sa.update(pointers).where(pointers.c.name == name).values(value=new, seq=seq)
    )
    if not updated.rowcount:
        connection.execute(pointers.insert().values(name=name, value=new, seq=seq))


def _read(connection: Connection, model: str | None = None, after: int = 0) -> list[Entry]:
    query = sa.select(entries).where(entries.c.seq > after).order_by(entries.c.seq)
    if model is not None:
        query = query.where(entries.c.model == model)
    rows = connection.execute(query).mappings()
    return [Entry(**{**row, "details": json.loads(row["details"])}) for row in rows]


def _pointers(connection: Connection) -> Iterator[tuple[str, tuple[str | None, int]]]:
    for name, value, seq in connection.execute(sa.select(pointers.c.name, pointers.c.value, pointers.c.seq)):
        yield name, (value, seq)


def _replay(entry: Entry, moved: dict[str, tuple[str | None, int]], place: str) -> None:
    move = entry.details.get("pointer")
    if move is None:
        return
    if moved.get(move["name"], (None, 0))[0] != move["from"]:
        raise ResourceError(f"the ledger {place} contradicts itself at line {entry.seq}: {move['name']}")
    moved[move["name"]] = (move["to"], entry.seq)


def _plain(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
