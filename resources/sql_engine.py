"""Databases that several processes write to: how they are opened, and who waits for whom."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from resources.protocols import ResourceError

_BUSY_SECONDS = 30


class SqlPlace:
    """A database by URL, its tables made with the first transaction; raises ResourceError.

    `what` and `variable` are how errors name it: "the alerts", MLCICD_ALERTS_URL. Writers take turns: what
    one has read in its transaction still holds when it writes.
    """

    def __init__(self, url: str, tables: sa.MetaData, *, what: str, variable: str) -> None:
        self.url = make_url(url)
        self._tables = tables
        self._what = what
        self._variable = variable
        self._engine: Engine | None = None
        self._ready = threading.Lock()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def transaction(self, *, write: bool = False) -> Iterator[Connection]:
        """One transaction; it is rolled back where the block raises."""
        try:
            engine = self._opened()
            with engine.connect().execution_options(writes=write) as connection, connection.begin():
                if write and engine.dialect.name == "postgresql":
                    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock(hashtext('{self._variable}'))"))
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise ResourceError(
                f"{self._what} at {self} failed: {_plain(error)}. "
                f"Check that it can be reached and written, or name another by {self._variable}"
            ) from error

    def _opened(self) -> Engine:
        with self._ready:
            if self._engine is None:
                engine = self._made()
                self._install(engine)
                self._engine = engine
            return self._engine

    def _made(self) -> Engine:
        try:
            if self.url.get_backend_name() != "sqlite":
                return sa.create_engine(self.url, pool_pre_ping=True)
            if self.url.database:
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            # No pool: a connection kept across fork() corrupts SQLite's locks.
            engine = sa.create_engine(
                self.url, poolclass=sa.NullPool, connect_args={"timeout": _BUSY_SECONDS}
            )
        except ModuleNotFoundError as error:
            raise ResourceError(f"{self._what} at {self} cannot be used: {error}") from error
        _take_turns(engine)
        return engine

    def _install(self, engine: Engine) -> None:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock(hashtext('{self._variable}'))"))
            self._tables.create_all(connection)


def _take_turns(engine: Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        # A writer takes the lock before it reads, so that what it compared still holds when it sets.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _plain(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
