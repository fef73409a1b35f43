"""The provenance of what stands, in a SQL database: SQLite in the home by default, any SQLAlchemy URL."""

import json
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from resources.protocols import Materialization, ResourceError

_BUSY_S = 30
_METADATA = sa.MetaData()
_RECORDS = sa.Table(
    "materializations",
    _METADATA,
    sa.Column("asset", sa.String(300), primary_key=True),
    sa.Column("partition", sa.String(100), primary_key=True),  # "" for an unpartitioned asset
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("content", sa.String(64), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("run", sa.String(64), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)


class SqlRecords:
    """Implements `Records`; safe to use from several processes."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)

    def __repr__(self) -> str:
        return f"SqlRecords({self._url.render_as_string(hide_password=True)})"

    def write(self, record: Materialization) -> None:
        """Replace the record of this asset and partition; raises ResourceError."""
        row = {
            "asset": record.asset,
            "partition": record.partition or "",
            "code": record.code,
            "inputs": json.dumps(dict(record.inputs), sort_keys=True),
            "content": record.content,
            "at": record.at,
            "run": record.run,
            "seconds": record.seconds,
        }
        place = (_RECORDS.c.asset == row["asset"]) & (_RECORDS.c.partition == row["partition"])
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.delete(_RECORDS).where(place))
                connection.execute(sa.insert(_RECORDS).values(row))
        except sa.exc.SQLAlchemyError as error:
            raise self._failed(error) from error

    def all(self) -> list[Materialization]:
        """Every record; raises ResourceError."""
        query = sa.select(_RECORDS).order_by(_RECORDS.c.asset, _RECORDS.c.partition)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
        except sa.exc.SQLAlchemyError as error:
            raise self._failed(error) from error
        return [_record(row) for row in rows]

    @cached_property
    def _engine(self) -> sa.Engine:
        if self._url.get_backend_name() != "sqlite":
            engine = sa.create_engine(self._url)
        else:
            engine = sa.create_engine(self._url, connect_args={"timeout": _BUSY_S}, poolclass=sa.NullPool)
            sa.event.listen(engine, "connect", _write_ahead)
        try:
            _METADATA.create_all(engine)
        except sa.exc.SQLAlchemyError as error:
            raise self._failed(error) from error
        return engine

    def _failed(self, error: Exception) -> ResourceError:
        reason = str(getattr(error, "orig", error)).splitlines()[0]
        return ResourceError(f"{self!r}: {reason}; see that the database can be reached and written")


def _write_ahead(connection: Any, _record: Any) -> None:
    # Readers and one writer do not wait for each other.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _record(row: Any) -> Materialization:
    values = dict(row)
    values["partition"] = values["partition"] or None
    values["inputs"] = json.loads(values["inputs"])
    return Materialization(**values)
