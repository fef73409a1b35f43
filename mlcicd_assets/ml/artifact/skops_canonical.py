"""A skops file whose bytes depend on the estimator alone, so that a digest of it can be repeated.

skops names objects and arrays by their address in memory and stamps the time into the archive. Here they are
numbered in the order in which they are first met, and the archive carries no time.
"""

import io
import json
import zipfile
from typing import Any

_SCHEMA = "schema.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP archive knows


def canonical_skops(content: bytes) -> bytes:
    """The same estimator in canonical bytes; `skops.io` reads them as it reads its own."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        names = _Names(set(archive.namelist()) - {_SCHEMA})
        schema = names.renamed(schema)
        files = {new: archive.read(old) for old, new in names.files.items()}
    files[_SCHEMA] = json.dumps(schema, sort_keys=False, separators=(",", ":")).encode()
    return _archive(files)


class _Names:
    """New numbers for objects and files, in the order in which they are met."""

    def __init__(self, known: set[str]) -> None:
        self.files: dict[str, str] = {}
        self._known = known
        self._objects: dict[int, int] = {}

    def renamed(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self._value(key, value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.renamed(value) for value in node]
        return node

    def _value(self, key: str, value: Any) -> Any:
        if key == "__id__" and isinstance(value, int):
            return self._objects.setdefault(value, len(self._objects) + 1)
        if isinstance(value, str) and value in self._known:
            suffix = value.partition(".")[2]
            return self.files.setdefault(value, f"{len(self.files) + 1}.{suffix}")
        return self.renamed(value)


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.create_system = 3  # the same on every system
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
