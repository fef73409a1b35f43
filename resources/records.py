"""The provenance of what stands, in a SQL database: SQLite in the home by default, any SQLAlchemy URL."""

import json
from functools import cached_property
from pathlib import Path
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
            try:
                self._replace(place, row)
            except sa.exc.IntegrityError:  # somebody else wrote the first record of this place meanwhile
                self._replace(place, row)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise self._failed(error) from error

    def all(self) -> list[Materialization]:
        """Every record; raises ResourceError."""
        if self._file and not self._file.exists():
            return []  # nothing was ever written, and reading creates nothing
        query = sa.select(_RECORDS).order_by(_RECORDS.c.asset, _RECORDS.c.partition)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise self._failed(error) from error
        return [_record(row) for row in rows]

    def _replace(self, place: sa.ColumnElement[bool], row: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_RECORDS).where(place))
            connection.execute(sa.insert(_RECORDS).values(row))

    @property
    def _file(self) -> Path | None:
        """The database's file, where there is one."""
        embedded = self._url.get_backend_name() == "sqlite" and self._url.database
        return Path(self._url.database) if embedded and self._url.database else None

    @cached_property
    def _engine(self) -> sa.Engine:
        if not self._file:
            engine = sa.create_engine(self._url)
        else:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(self._url, connect_args={"timeout": _BUSY_S}, poolclass=sa.NullPool)
            sa.event.listen(engine, "connect", _write_ahead)
        try:
            _METADATA.create_all(engine)
        except sa.exc.DBAPIError:
            # Two processes that create the table at once: the second looks again.
            _METADATA.create_all(engine)
        return engine

    def _failed(self, error: Exception) -> ResourceError:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        place = self._url.render_as_string(hide_password=True)
        return ResourceError(
            f"the records at {place} cannot be used ({reason}): "
            "make them reachable and writable, or choose others with MLCICD_RECORDS_URL"
        )


def _write_ahead(connection: Any, _record: Any) -> None:
    # Readers and one writer do not wait for each other.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _record(row: Any) -> Materialization:
    values = dict(row)
    values["partition"] = values["partition"] or None
    values["inputs"] = json.loads(values["inputs"])
    return Materialization(**values)
