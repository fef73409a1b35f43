"""Records from a database by query (SQLAlchemy). Its URL is in the environment, its password never shown."""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from resources.protocols import ResourceError

if TYPE_CHECKING:
    import polars as pl
    from sqlalchemy.engine import URL


@dataclass(frozen=True)
class SqlWarehouse:
    """Implements `Warehouse`: one connection for each query, which only reads."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    # Query and variable -> when it was asked, and what was answered.
    _marks: dict[tuple[str, str], tuple[float, dict[str | None, str]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def query(self, sql: str, url_env: str, bounds: Mapping[str, str | datetime | None]) -> "pl.DataFrame":
        """Run a query with those of `bounds` that it names; raises ResourceError without the password."""
        import polars as pl
        import sqlalchemy as sa

        url = self._url(url_env)
        statement = sa.text(sql)
        named = statement.compile().params
        asked = {name: _bound(url, value) for name, value in bounds.items() if name in named}
        try:
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            with engine.connect() as connection:
                frame = pl.read_database(statement.bindparams(**asked), connection, infer_schema_length=None)
        except ImportError as error:
            raise ResourceError(f"{url_env}: {error}; install the database's driver") from None
        except (sa.exc.SQLAlchemyError, pl.exceptions.PolarsError, OSError) as error:
            # Not chained: the driver's own error may hold the address with its password.
            raise ResourceError(_told(url_env, url, error)) from None
        if frame.is_empty():
            raise ResourceError(f"{_place(url_env, url)} has no records for {_span(bounds)}: {_short(sql)}")
        return frame

    def marks(self, sql: str, url_env: str, *, max_age_s: float = 60.0) -> dict[str | None, str]:
        """What a dataset's `watermark` query says of each partition; asked again after `max_age_s`."""
        known = self._marks.get((sql, url_env))
        if known is None or not 0 <= time.monotonic() - known[0] < max_age_s:
            known = (time.monotonic(), self._ask_marks(sql, url_env))
            self._marks[sql, url_env] = known
        return dict(known[1])

    def _ask_marks(self, sql: str, url_env: str) -> dict[str | None, str]:
        import sqlalchemy as sa

        url = self._url(url_env)
        try:
            with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
                rows = [dict(row) for row in connection.execute(sa.text(sql)).mappings()]
        except ImportError as error:
            raise ResourceError(f"{url_env}: {error}; install the database's driver") from None
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise ResourceError(_told(url_env, url, error)) from None
        return _marked(rows, _place(url_env, url))

    def _url(self, url_env: str) -> "URL":
        import sqlalchemy as sa

        address = self.environment.get(url_env)
        if not address:
            raise ResourceError(
                f"the environment variable {url_env} is not set: set it to the database's URL"
            )
        try:
            return sa.engine.make_url(address)
        except sa.exc.ArgumentError:
            raise ResourceError(
                f"{url_env} is no database URL; it reads like postgresql+psycopg2://user:password@host/database"
            ) from None


def _marked(rows: list[dict[str, Any]], place: str) -> dict[str | None, str]:
    """The hash of each partition's other columns."""
    marks: dict[str | None, str] = {}
    for row in rows:
        named = {str(name).lower(): value for name, value in row.items()}
        key = named.pop("partition", None)
        if not named:
            raise ResourceError(
                f"{place}: a watermark has more columns than 'partition': max(updated_at), count(*)"
            )
        told = "\x1f".join(f"{name}={named[name]}" for name in sorted(named))
        marks[None if key is None else str(key)] = hashlib.sha256(told.encode()).hexdigest()
    if len(marks) != len(rows):
        raise ResourceError(f"{place}: a watermark names each partition once: GROUP BY it")
    return marks


def _bound(url: "URL", value: str | datetime | None) -> str | datetime | None:
    """SQLite compares instants as text: without fractions a bound is right for every way to write them."""
    sqlite = url.get_backend_name() == "sqlite"
    return value.isoformat(sep=" ") if sqlite and isinstance(value, datetime) else value


def _told(url_env: str, url: "URL", error: Exception) -> str:
    reason = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
    for secret in _secrets(url):
        reason = reason.replace(secret, "***")
    return f"{_place(url_env, url)}: {reason}; correct the query, or see that the database is reachable"


def _place(url_env: str, url: "URL") -> str:
    return f"{url_env} ({url.set(query={}).render_as_string(hide_password=True)})"


def _secrets(url: "URL") -> list[str]:
    """The password as it is and as it is written in a URL, and every option (tokens travel there)."""
    from urllib.parse import quote, quote_plus

    values = [str(url.password)] if url.password else []
    values += [one for value in url.query.values() for one in ([value] if isinstance(value, str) else value)]
    return [form for value in values for form in {value, quote(value, safe=""), quote_plus(value)} if value]


def _span(bounds: Mapping[str, Any]) -> str:
    return str(bounds.get("partition") or "the whole table")


def _short(sql: str) -> str:
    return " ".join(sql.split())[:200]
