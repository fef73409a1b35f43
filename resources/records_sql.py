"""Records in any database that SQLAlchemy reaches."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from resources.records import LATER, TABLE

_METADATA = sa.MetaData()
_ROWS = sa.Table(
    TABLE,
    _METADATA,
    sa.Column("asset", sa.String(300), primary_key=True),
    sa.Column("partition", sa.String(100), primary_key=True),  # "" for an unpartitioned asset
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),
    sa.Column("content", sa.String(64), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("run", sa.String(64), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    *(sa.Column(name, sa.Text) for name in LATER),  # null in a row from before the column
)


class SqlRows:
    """Implements `RowStore`."""

    failures: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError,)

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)

    def replace(self, row: Mapping[str, Any]) -> None:
        """Put a row in the place of the one with the same asset and partition."""
        try:
            self._replace(row)
        except sa.exc.IntegrityError:  # somebody else wrote the first record of this place meanwhile
            self._replace(row)

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """Every row, by asset and partition."""
        with self._engine.connect() as connection:
            query = sa.select(_ROWS).order_by(_ROWS.c.asset, _ROWS.c.partition)
            return [dict(row) for row in connection.execute(query).mappings()]

    def _replace(self, row: Mapping[str, Any]) -> None:
        place = (_ROWS.c.asset == row["asset"]) & (_ROWS.c.partition == row["partition"])
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_ROWS).where(place))
            connection.execute(sa.insert(_ROWS).values(dict(row)))

    @cached_property
    def _engine(self) -> sa.Engine:
        engine = sa.create_engine(self._url)
        try:
            _prepare(engine)
        except sa.exc.DBAPIError:
            # Two processes that create the table at once: the second looks again.
            _prepare(engine)
        return engine


def _prepare(engine: sa.Engine) -> None:
    _METADATA.create_all(engine)
    there = {column["name"] for column in sa.inspect(engine).get_columns(TABLE)}
    for name in LATER:
        if name not in there:
            with engine.begin() as connection:
                connection.execute(sa.text(f"ALTER TABLE {TABLE} ADD COLUMN {name} TEXT"))
