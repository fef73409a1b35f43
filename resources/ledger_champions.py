"""Who is champion, read without SQLAlchemy where the ledger is a SQLite file."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from resources.protocols import ResourceError

_SQLITE = "sqlite:///"
_POINTER = "SELECT value FROM ledger_pointers WHERE name = ?"
_DIGEST = (
    "SELECT digest FROM ledger_entries WHERE model = ? AND version = ? AND digest IS NOT NULL "
    "ORDER BY seq DESC LIMIT 1"
)


def champion_digests(url: str, models: Iterable[str]) -> dict[str, str]:
    """The digest of each model's champion; a model without one is left out. Raises ResourceError."""
    path = url.removeprefix(_SQLITE)
    if path == url or "?" in path:
        return _from_ledger(url, models)
    if not Path(path).exists():
        return {}
    try:
        connection = sqlite3.connect(path, timeout=30)
        try:
            return _read(connection, models)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ResourceError(f"the ledger {url} cannot be read ({error}): make it readable") from error


def _read(connection: sqlite3.Connection, models: Iterable[str]) -> dict[str, str]:
    tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('ledger_pointers', 'ledger_entries')"
    if connection.execute(tables).fetchone()[0] < 2:
        return {}
    found: dict[str, str] = {}
    for model in models:
        version = connection.execute(_POINTER, (f"champion/{model}",)).fetchone()
        if version and version[0] is not None:
            digest = connection.execute(_DIGEST, (model, int(version[0]))).fetchone()
            if digest:
                found[model] = str(digest[0])
    return found


def _from_ledger(url: str, models: Iterable[str]) -> dict[str, str]:
    from resources.ledger import SqlLedger

    ledger = SqlLedger(url)
    found: dict[str, str] = {}
    for model in models:
        version = ledger.pointer(f"champion/{model}")
        for entry in ledger.entries(model):
            if str(entry.version) == version and entry.digest:
                found[model] = entry.digest
    return found
