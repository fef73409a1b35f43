"""The provenance of what stands, in a SQL database: SQLite in the home by default, any SQLAlchemy URL."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cached_property, lru_cache
from typing import Any, Protocol

from resources.protocols import Materialization, ResourceError
from resources.redaction import redact

TABLE = "materializations"
# Columns that hold a mapping as JSON; the others are what they are.
_MAPPINGS = {"inputs", "parts", "parameters"}
# Columns that came later, and what a row from before them holds.
LATER = {"parts": "{}", "parameters": "{}", "failure": "", "details": ""}
COLUMNS = tuple(column.name for column in fields(Materialization))
_SQLITE = "sqlite:///"


class RowStore(Protocol):
    """Rows of text and numbers, one for each asset and partition; raises what its library raises."""

    failures: tuple[type[Exception], ...]

    def replace(self, row: Mapping[str, Any]) -> None:
        """Put a row in the place of the one with the same asset and partition."""
        ...

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """Every row, by asset and partition; nothing is created by reading."""
        ...


class SqlRecords:
    """Implements `Records`; safe to use from several processes.

    SQLite goes through the standard library: whoever only asks what is stale need not load SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def __repr__(self) -> str:
        return f"SqlRecords({self._place})"

    def write(self, record: Materialization) -> None:
        """Replace the record of this asset and partition; raises ResourceError."""
        row = {name: getattr(record, name) for name in COLUMNS}
        row |= {name: json.dumps(dict(row[name]), sort_keys=True) for name in _MAPPINGS}
        row["partition"] = record.partition or ""
        row["failure"] = redact(record.failure)
        try:
            self._store.replace(row)
        except self._failures as error:
            raise self._failed(error) from error

    def all(self) -> list[Materialization]:
        """Every record; raises ResourceError."""
        try:
            return [_record(row) for row in self._store.rows()]
        except self._failures as error:
            raise self._failed(error) from error

    @cached_property
    def _store(self) -> RowStore:
        path = self._url.removeprefix(_SQLITE)
        if path != self._url and path and "?" not in path:
            from resources.records_sqlite import SqliteRows

            return SqliteRows(path)
        from resources.records_sql import SqlRows

        return SqlRows(self._url)

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        return (*self._store.failures, OSError)

    @property
    def _place(self) -> str:
        if self._url.startswith(_SQLITE):
            return self._url
        from sqlalchemy import make_url

        return make_url(self._url).render_as_string(hide_password=True)

    def _failed(self, error: Exception) -> ResourceError:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        return ResourceError(
            f"the records at {self._place} cannot be used ({reason}): "
            "make them reachable and writable, or choose others with MLCICD_RECORDS_URL"
        )


@lru_cache(maxsize=16384)  # partitions are made by the same code, and sensors read everything each time
def _parsed(text: str) -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads(text)
    return found


def _record(row: Mapping[str, Any]) -> Materialization:
    values = {**LATER, **{name: value for name, value in row.items() if value is not None}}
    values |= {name: dict(_parsed(values[name])) for name in _MAPPINGS}
    values["partition"] = values["partition"] or None
    return Materialization(**{name: values[name] for name in COLUMNS})
