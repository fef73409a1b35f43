"""The ledger's tables, and the triggers that keep its lines from being changed."""

import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from resources.protocols import ResourceError

GENESIS = "0" * 64

metadata = sa.MetaData()

entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False, index=True),
    sa.Column("version", sa.Integer),
    sa.Column("digest", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous_hash", sa.Text, nullable=False, unique=True),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
)

pointers = sa.Table(
    "ledger_pointers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
    sa.Column("seq", sa.Integer, nullable=False),
)

# REPLACE deletes without a DELETE trigger, so a line that exists is refused before it is inserted again.
_SQLITE = (
    """CREATE TRIGGER IF NOT EXISTS ledger_no_update BEFORE UPDATE ON ledger_entries
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS ledger_no_delete BEFORE DELETE ON ledger_entries
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER IF NOT EXISTS ledger_in_order BEFORE INSERT ON ledger_entries
       WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM ledger_entries)
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)

_POSTGRESQL = (
    """CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
    """CREATE OR REPLACE TRIGGER ledger_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
       FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()""",
)


def install(engine: Engine) -> None:
    """Make tables and triggers where they are missing; safe between processes."""
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            # Two CREATE TABLE IF NOT EXISTS at once may still collide in PostgreSQL's catalogue.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlcicd ledger'))"))
        if not sa.inspect(connection).has_table(entries.name):
            metadata.create_all(connection)
        # Tables that came without their guards, as from a dump, get them back.
        if not _guarded(connection):
            for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
                connection.exec_driver_sql(statement)


def _guarded(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        query, wanted = (
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table",
            len(_SQLITE),
        )
    else:
        query, wanted = (
            "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = to_regclass(:table)",
            1,
        )
    return bool(connection.scalar(sa.text(query), {"table": entries.name}) == wanted)


def _write_ahead(engine: Engine, patience: float = 30.0) -> None:
    """WAL lets readers read while one writes; the switch itself fails at once when others hold the file."""
    deadline = time.monotonic() + patience
    while not _switched(engine, last=time.monotonic() > deadline):
        time.sleep(0.02)


def _switched(engine: Engine, *, last: bool) -> bool:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        try:
            if driver.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                driver.execute("PRAGMA journal_mode=WAL")
        except driver.OperationalError as error:
            if last or "locked" not in str(error):
                raise ResourceError(f"the ledger's file cannot be written: {error}") from error
            return False
        return True
