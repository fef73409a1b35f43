"""The lake on Delta tables (delta-rs): local folders by default, s3://, gs://, abfss:// by URI.

Every write is one Delta commit that swaps one partition's files. What must be known of a partition travels in
that commit as the value of a partition column, `_stamp`, so that content hash and rows can't disagree,
survive checkpoints and compaction, and are right at every older version too. A commit is tried at exactly the
next version; when somebody else was first, the table is read again and the write repeated, so of two writers
to one partition the last wins, and neither wins by half.
"""

import os
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from resources.content import ColumnError, canonical, content_hash
from resources.lake_table import PARTITION, STAMP, SchemaConflictError, Table, converted, merged, stored
from resources.protocols import ResourceError, TableVersion

_OPTIONS = ("AWS_", "AZURE_", "GOOGLE_")
_ATTEMPTS = 40
_CONFIGURATION = {"delta.logRetentionDuration": "interval 36500 days", "delta.checkpointInterval": "25"}


@dataclass(frozen=True)
class DeltaLake:
    """Implements `Lake`. Credentials of object stores come from the environment, by their usual names."""

    uri: str
    options: Mapping[str, str] = field(
        default_factory=lambda: {k: v for k, v in os.environ.items() if k.startswith(_OPTIONS)}, repr=False
    )

    def write(self, table: str, frame: pl.DataFrame, *, partition: str | None = None) -> TableVersion:
        """Replace the partition's rows, or the whole table when None; the same content writes nothing."""
        reserved = {PARTITION, STAMP} & set(frame.columns)
        if reserved:
            raise ResourceError(
                f"{table}: the lake keeps {', '.join(sorted(reserved))} for itself; rename it"
            )
        try:
            rows = canonical(frame)
        except ColumnError as error:
            raise ResourceError(f"{_named(table, partition)}: {error}") from error
        content = content_hash(rows)
        for attempt in range(_ATTEMPTS):
            before = self._open(table)
            if before and (same := before.stamps.get(partition)) and same.content == content:
                return same.version_of(table, partition)
            written = self._commit(table, before, rows, partition, content)
            if written:
                return written
            time.sleep(random.uniform(0.01, 0.05) * min(attempt + 1, 10))  # noqa: S311 - spreads writers
        raise ResourceError(
            f"{_named(table, partition)}: {_ATTEMPTS} times somebody else wrote first; "
            "run fewer writers of this table at once"
        )

    def scan(
        self, table: str, *, partitions: Sequence[str] | None = None, version: int | None = None
    ) -> pl.LazyFrame:
        """Rows in the order of partitions, each in canonical order."""
        found = self._existing(table, version)
        chosen = list(found.stamps) if partitions is None else list(partitions)
        missing = [key for key in chosen if key not in found.stamps]
        if missing:
            at = "" if version is None else f" at version {version}"
            raise ResourceError(
                f"{table} has no partition {', '.join(map(str, missing[:5]))}{at}: materialize it first"
            )
        return found.rows(chosen, self.options)

    def versions(self, table: str) -> dict[str | None, TableVersion]:
        """The newest version by partition; empty when the table does not exist."""
        found = self._open(table)
        return {key: stamp.version_of(table, key) for key, stamp in found.stamps.items()} if found else {}

    def table_version(self, table: str) -> int:
        """The table's current Delta version."""
        return self._existing(table, None).version

    def vacuum(
        self, table: str, *, older_than: timedelta, keep: Collection[int] = (), dry_run: bool = True
    ) -> list[str]:
        """Delete the files that only replaced versions need, and that no version in `keep` does."""
        from deltalake.exceptions import DeltaError

        found = self._open(table)
        if found is None:
            return []
        options: dict[str, Any] = {
            "retention_hours": int(older_than.total_seconds() // 3600),
            "enforce_retention_duration": False,
            "keep_versions": sorted({*keep, found.version}),
        }
        try:
            # delta-rs names again what it deleted long ago.
            named = found.handle.vacuum(dry_run=True, **options)
            files = [file for file in named if _may_exist(self._address(table), file)]
            if files and not dry_run:
                found.handle.vacuum(dry_run=False, **options)
        except (DeltaError, OSError) as error:
            raise ResourceError(f"{table} cannot be vacuumed ({_reason(error)}): nothing is lost") from error
        return files

    def _commit(
        self, table: str, before: Table | None, rows: pl.DataFrame, partition: str | None, content: str
    ) -> TableVersion | None:
        """Try to be the next version; None when somebody else was."""
        from deltalake.exceptions import CommitFailedError, DeltaError

        try:
            self._swap(self._address(table), before, rows, partition, content)
        except CommitFailedError:
            return None
        except SchemaConflictError as error:
            raise ResourceError(f"{_named(table, partition)}: {error}") from error
        except (DeltaError, OSError) as error:
            if before is None and self._open(table):
                return None  # somebody else created the table meanwhile
            raise self._unwritable(error) from error
        return TableVersion(table, partition, before.version + 1 if before else 0, content, rows.height)

    def _swap(
        self, address: str, before: Table | None, rows: pl.DataFrame, partition: str | None, content: str
    ) -> None:
        from deltalake import CommitProperties, WriterProperties, write_deltalake

        others = [key for key in (before.stamps if before else {}) if key is not None and key != partition]
        options: dict[str, Any] = {
            # Fails when somebody else creates the table meanwhile, instead of replacing it.
            "mode": "overwrite" if before else "error",
            "partition_by": [PARTITION, STAMP],
            "storage_options": dict(self.options) or None,
            "writer_properties": WriterProperties(compression="ZSTD"),
            "commit_properties": CommitProperties(max_commit_retries=0),
        }
        version = before.version + 1 if before else 0
        if before is None or partition is None or not others:
            schema = merged({}, rows)
            written = stored(rows, schema, partition, version, content)
            options |= {"schema_mode": "overwrite"} if before else {"configuration": _CONFIGURATION}
        else:
            schema = merged(before.schema, rows)
            written = stored(converted(rows, schema), schema, partition, version, content)
            if all(schema[name] == dtype for name, dtype in before.schema.items()):
                options |= {"predicate": _where(partition), "schema_mode": "merge"}
            else:
                kept = [self._retyped(before, key, schema) for key in others]
                written = pl.concat([*kept, written])
                options |= {"schema_mode": "overwrite"}
        write_deltalake(before.handle if before else address, written, **options)

    def _retyped(self, table: Table, partition: str, schema: pl.Schema) -> pl.DataFrame:
        """Another partition's rows in wider types, with the content and the version they had."""
        stamp = table.stamps[partition]
        rows = converted(table.rows([partition], self.options).collect(), schema)
        return stored(rows, schema, partition, stamp.version, stamp.content)

    def _open(self, table: str, version: int | None = None) -> Table | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        address = self._address(table)
        try:
            handle = DeltaTable(address, version=version, storage_options=dict(self.options) or None)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            at = "" if version is None else f" at version {version}"
            raise ResourceError(
                f"{table} cannot be read{at} from {address} ({_reason(error)}): "
                "see that the version exists, and that MLCICD_LAKE_URI and its credentials are right"
            ) from error
        try:
            return Table.read(handle, address)
        except (pl.exceptions.ColumnNotFoundError, ValueError) as error:
            raise ResourceError(f"{address} is not a table of this lake: move it away") from error

    def _existing(self, table: str, version: int | None) -> Table:
        found = self._open(table, version)
        if found is None:
            raise ResourceError(f"{table} does not exist in the lake at {self.uri}: materialize it first")
        return found

    def _address(self, table: str) -> str:
        return f"{self.uri.rstrip('/')}/{table}"

    def _unwritable(self, error: Exception) -> ResourceError:
        return ResourceError(
            f"the lake at {self.uri} cannot be written ({_reason(error)}): "
            "make it writable or choose another with MLCICD_LAKE_URI"
        )


def _may_exist(table: str, file: str) -> bool:
    """Whether a file of a local table is there; in an object store nobody is asked."""
    return "://" in table or any((Path(table) / name).exists() for name in (file, unquote(file)))


def _where(partition: str) -> str:
    # Rows without a partition are left from the time when the dataset had none.
    quoted = partition.replace("'", "''")
    return f"{PARTITION} = '{quoted}' OR {PARTITION} IS NULL"


def _named(table: str, partition: str | None) -> str:
    return table if partition is None else f"{table} {partition}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
