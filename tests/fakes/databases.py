"""Databases that stores are tried on: SQLite, and PostgreSQL where a server is named."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa


@contextmanager
def database(kind: str, file: Path) -> Iterator[str]:
    """The URL of an empty one, gone afterwards; skips where no server is named."""
    if kind == "sqlite":
        yield f"sqlite:///{file}"
        return
    server = os.environ.get("MLCICD_TEST_POSTGRES_URL")
    if not server:
        pytest.skip("PostgreSQL is tried where MLCICD_TEST_POSTGRES_URL names a server")
    schema = f"{file.stem}_{uuid4().hex}"
    engine = sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield (
        sa.make_url(server).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(False)
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()
