"""A lake, a landing folder, records and keys, small enough to read."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from resources.protocols import LandedFile, Materialization, ResourceError, TableVersion


class MemoryLake:
    """Tables as frames by partition."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str | None, pl.DataFrame]] = {}

    def write(self, table: str, frame: pl.DataFrame, *, partition: str | None = None) -> TableVersion:
        self.tables.setdefault(table, {})[partition] = frame
        return self.versions(table)[partition]

    def scan(
        self, table: str, *, partitions: Sequence[str] | None = None, version: int | None = None
    ) -> pl.LazyFrame:
        found = self.tables.get(table)
        if not found:
            raise ResourceError(f"{table} holds nothing yet: materialize {table}")
        chosen = [
            frame for key, frame in sorted(found.items(), key=str) if not partitions or key in partitions
        ]
        return pl.concat(chosen).lazy()

    def versions(self, table: str) -> dict[str | None, TableVersion]:
        return {
            partition: TableVersion(table, partition, 1, _sha256(frame.write_ndjson().encode()), frame.height)
            for partition, frame in self.tables.get(table, {}).items()
        }

    def table_version(self, table: str) -> int:
        return 1


class FolderLanding:
    """Files below a folder, by their template."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, template: str, partition: str | None) -> LandedFile:
        path = self.root / template.replace("{partition}", partition or "")
        if not path.is_file():
            raise ResourceError(f"{path} has not landed")
        return LandedFile(path, _sha256(path.read_bytes()))

    def partitions(self, template: str) -> list[str]:
        before, after = template.split("{partition}")
        return sorted(
            str(path.relative_to(self.root)).removeprefix(before).removesuffix(after)
            for path in self.root.glob(f"{before}*{after}")
        )

    def read(self, landed: LandedFile) -> pl.DataFrame:
        return pl.read_parquet(landed.path)


class MemoryRecords:
    """The newest record of each asset and partition."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str | None], Materialization] = {}

    def write(self, record: Materialization) -> None:
        self._records[record.asset, record.partition] = record

    def all(self) -> list[Materialization]:
        return list(self._records.values())


class GivenKeys:
    """One key pair."""

    def __init__(self, private: bytes, *trusted: bytes) -> None:
        self._private = private
        self._trusted = trusted

    def private_key(self) -> bytes:
        return self._private

    def trusted_keys(self) -> Sequence[bytes]:
        return self._trusted


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
