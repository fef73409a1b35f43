"""Where MLflow keeps its runs and versions, and one quiet client per store.

Everything goes through `MlflowClient` with explicit run ids: MLflow's global state (active run, tracking
URI) belongs to the user's code alone.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from resources.mlflow_redaction import guard_mlflow
from resources.protocols import ResourceError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LOCK_SECONDS = 120
# Set before MLflow is imported, unless the person has chosen otherwise.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves the machine
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class MlflowStore:
    """`uri` is any MLflow tracking URI. `artifacts` is the URI under which our experiments keep files.

    `artifacts` is None where the tracking server decides; then no file of this machine is ever read as an
    artifact. `ui` is the address of MLflow's pages, where somebody runs them.
    """

    uri: str
    artifacts: str | None = None
    ui: str | None = None

    @classmethod
    def in_folder(cls, folder: Path) -> "MlflowStore":
        """SQLite and plain files: what a single machine needs, without a server."""
        return cls(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], folder: Path) -> "MlflowStore":
        """`MLFLOW_TRACKING_URI`, else SQLite in `folder`.

        `MLCICD_MLFLOW_ARTIFACTS` (a path or URI) and `MLCICD_MLFLOW_UI` set the other two.
        """
        uri = environment.get("MLFLOW_TRACKING_URI") or cls.in_folder(folder).uri
        artifacts = environment.get("MLCICD_MLFLOW_ARTIFACTS") or None
        database = _sqlite_file(uri)
        if database and not artifacts:
            artifacts = (database.absolute().parent / "artifacts").as_uri()
        if artifacts and not urlsplit(artifacts).scheme:
            artifacts = Path(artifacts).absolute().as_uri()
        return cls(uri, artifacts, environment.get("MLCICD_MLFLOW_UI") or None)

    def __repr__(self) -> str:
        return f"MlflowStore({self.place})"

    @property
    def place(self) -> str:
        """The URI without its password, for messages."""
        parts = urlsplit(self.uri)
        if not parts.password:
            return self.uri
        return self.uri.replace(f":{parts.password}@", ":***@")

    def client(self) -> "MlflowClient":
        """The client of this store, connected once per process; raises ResourceError."""
        with self.explained():
            return _connect(self.uri)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn MLflow's and the database's errors into one ResourceError that names the store."""
        quieten()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError, TimeoutError) as error:
            raise ResourceError(
                f"MLflow at {self.place} failed: {_first_line(error)}. "
                "Check that it can be reached and written, or name another by MLFLOW_TRACKING_URI"
            ) from error


def quieten() -> None:
    """Keep MLflow from calling home and from filling the run's log; to be called before importing it."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)


@lru_cache(maxsize=16)
def _connect(uri: str) -> "MlflowClient":
    """Several processes that open a new SQLite store at once break its migrations: one goes first."""
    from mlflow import MlflowClient

    # MLflow sets its own log level when it is first imported.
    quieten()
    guard_mlflow()
    database = _sqlite_file(uri)
    if database is None:
        return MlflowClient(uri, uri)
    from filelock import FileLock

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=_LOCK_SECONDS):
        if not database.exists():
            _make(database)
        return MlflowClient(uri, uri)


def _make(database: Path) -> None:
    """Run MLflow's fifty migrations on a file aside, then put it in place: whole or not at all.

    Nothing of it need survive a power cut before it is in place, so SQLite does not wait for the disk.
    """
    from mlflow import MlflowClient
    from sqlalchemy import Engine, event

    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".new-") as folder:
        aside, whole = Path(folder) / "aside.db", Path(folder) / "whole.db"

        def hasty(connection: Any, _record: Any) -> None:
            sqlite = isinstance(connection, sqlite3.Connection)
            file = connection.execute("PRAGMA database_list").fetchone()[2] if sqlite else ""
            if file and aside.samefile(file):
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute("PRAGMA journal_mode = MEMORY")

        event.listen(Engine, "connect", hasty)
        try:
            MlflowClient(f"sqlite:///{aside}", f"sqlite:///{aside}")
        finally:
            event.remove(Engine, "connect", hasty)
        # A copy, because MLflow keeps its connection to the file aside.
        shutil.copyfile(aside, whole)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        whole.replace(database)


def _sqlite_file(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if not parts.scheme.startswith("sqlite") or not parts.path.strip("/"):
        return None
    return Path(unquote(parts.path[1:]))


def _first_line(error: Any) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
