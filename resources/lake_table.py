"""One Delta table as the lake lays it out: partitions, their stamps, and how new rows fit its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import polars as pl

from resources.protocols import TableVersion

if TYPE_CHECKING:
    from deltalake import DeltaTable

PARTITION = "_partition"  # null in a table without partitions
STAMP = "_stamp"


class SchemaConflictError(ValueError):
    """Rows whose columns don't fit what the table already keeps; names the column and the remedy."""


@dataclass(frozen=True)
class Stamp:
    """What one partition's files say of themselves, as the value of a partition column.

    A table's columns are those of all its partitions; those that a partition doesn't have are listed, so that
    it reads back with its own.
    """

    version: int  # the Delta version that wrote it
    rows: int
    content: str
    known: int  # how many columns the table had
    absent: frozenset[int] = frozenset()  # those of them that this partition does not have

    def __str__(self) -> str:
        return ".".join(map(str, [self.version, self.rows, self.content, self.known, *sorted(self.absent)]))

    @classmethod
    def parse(cls, text: str) -> "Stamp":
        """Read what `str` wrote."""
        version, rows, content, known, *absent = text.split(".")
        return cls(int(version), int(rows), content, int(known), frozenset(map(int, absent)))

    def has(self, index: int) -> bool:
        """Whether the partition has the table's column at `index`."""
        return index < self.known and index not in self.absent

    def version_of(self, table: str, partition: str | None) -> TableVersion:
        """The same, for readers of the lake."""
        return TableVersion(table, partition, self.version, self.content, self.rows)


@dataclass(frozen=True)
class Table:
    """A table at one version."""

    handle: "DeltaTable"  # moves on with what is written through it
    version: int
    schema: pl.Schema  # without the lake's own columns
    stamps: Mapping[str | None, Stamp]
    files: Mapping[str | None, Sequence[str]]

    @classmethod
    def read(cls, handle: "DeltaTable", uri: str) -> "Table":
        """Take schema, stamps and files from the log alone; no data file is opened."""
        schema = pl.Schema(handle.schema().to_arrow())
        actions = pl.DataFrame(handle.get_add_actions(flatten=True))
        stamps: dict[str | None, Stamp] = {}
        files: dict[str | None, list[str]] = {}
        names = [f"partition.{PARTITION}", f"partition.{STAMP}", "path"]
        for partition, stamp, path in actions.select(names).sort(names).iter_rows():
            stamps[partition] = Stamp.parse(stamp)
            files.setdefault(partition, []).append(f"{uri}/{unquote(path)}")
        columns = {name: dtype for name, dtype in schema.items() if name not in {PARTITION, STAMP}}
        return cls(handle, int(handle.version()), pl.Schema(columns), stamps, files)

    def rows(self, partitions: Sequence[str | None], options: Mapping[str, str]) -> pl.LazyFrame:
        """The partitions' rows in the order of their keys, with the columns that any of them has."""
        ordered = sorted(set(partitions), key=lambda key: (key is not None, key or ""))
        columns = [
            name
            for index, name in enumerate(self.schema)
            if any(self.stamps[key].has(index) for key in ordered)
        ]
        # A partition without rows is one row of nulls in the table, for a partition without files is none.
        files = [file for key in ordered if self.stamps[key].rows for file in self.files[key]]
        if not files:
            return pl.LazyFrame(schema={name: self.schema[name] for name in columns})
        return pl.scan_parquet(
            files,
            schema=self.schema,
            missing_columns="insert",
            hive_partitioning=False,
            glob=False,
            storage_options=dict(options) or None,
        ).select(columns)


def stored(
    rows: pl.DataFrame, schema: pl.Schema, partition: str | None, version: int, content: str
) -> pl.DataFrame:
    """The rows as the table keeps them: all its columns, and the partition's stamp."""
    absent = frozenset(index for index, name in enumerate(schema) if name not in rows.columns)
    stamp = Stamp(version, rows.height, content, len(schema), absent)
    columns = [
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    ]
    full = rows.select(columns) if rows.height else pl.DataFrame(schema=schema).clear(n=1)
    return full.with_columns(
        pl.lit(partition, dtype=pl.String).alias(PARTITION), pl.lit(str(stamp)).alias(STAMP)
    )


def merged(schema: Mapping[str, pl.DataType], rows: pl.DataFrame) -> pl.Schema:
    """The schema that keeps both; a column of another type takes the smallest that holds both numbers."""
    result: dict[str, Any] = dict(schema)
    for name, dtype in rows.schema.items():
        kept = result.get(name)
        empty = rows[name].null_count() == rows.height
        if kept is None:
            result[name] = pl.String() if dtype == pl.Null else dtype
        elif dtype != kept and not empty and not _holds(kept, rows[name]):
            result[name] = _both(kept, dtype)
    return pl.Schema(result)


def converted(rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows in the schema's types, when no value changes; raises SchemaConflictError."""
    for name, dtype in rows.schema.items():
        target = schema[name]
        empty = rows[name].null_count() == rows.height
        if dtype != target and not empty and not _holds(target, rows[name]):
            raise SchemaConflictError(
                f"column {name!r} is {target} in one partition and {dtype} in another: correct the source, "
                "or give a column that changed its meaning a new name"
            )
    return rows.with_columns(
        pl.lit(None).cast(schema[name]).alias(name)
        if rows[name].null_count() == rows.height
        else pl.col(name).cast(schema[name])
        for name in rows.columns
    )


def _both(kept: pl.DataType, dtype: pl.DataType) -> pl.DataType:
    if not (kept.is_numeric() and dtype.is_numeric()):
        return dtype  # possible only when the other partitions have no value at all: `converted` decides
    empty = [pl.DataFrame(schema={"x": one}) for one in (kept, dtype)]
    return pl.concat(empty, how="vertical_relaxed").dtypes[0]


def _holds(target: pl.DataType, column: pl.Series) -> bool:
    """Whether every number survives the way to the target type and back."""
    if not (target.is_numeric() and column.dtype.is_numeric()):
        return False
    try:
        back = column.cast(target).cast(column.dtype)
    except pl.exceptions.InvalidOperationError:
        return False
    return bool((back.eq_missing(column)).all())
