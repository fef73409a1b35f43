"""What is kept of each accepted partition: one row per column, with its profile.

`<dataset>/statistics` is about the validated records (counts, nulls, means), `<dataset>/feature_statistics`
about the features (with distributions). So history is read without touching a single record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import polars as pl

from mlcicd_assets.ml.data.profiles import ColumnProfile, kind_of, profile_column

WHOLE = ""  # stands for the one partition of a dataset without partitions
Profiles = Mapping[str, ColumnProfile]  # by column
Statistics = Mapping[str, Profiles]  # by partition, then column

_SCHEMA = {
    "partition": pl.String,
    "column": pl.String,
    "dtype": pl.String,
    "rows": pl.Int64,
    "nulls": pl.Int64,
    "mean": pl.Float64,
    "std": pl.Float64,
    "profile": pl.String,
}


def summarise(frame: pl.DataFrame) -> dict[str, ColumnProfile]:
    """Counts, nulls, mean and spread of each column, in one scan; no distributions."""
    numeric = [name for name, dtype in frame.schema.items() if kind_of(dtype) == "numeric"]
    finite = {
        name: pl.col(name).filter(pl.col(name).is_finite()) if frame.schema[name].is_float() else pl.col(name)
        for name in numeric
    }
    measured = frame.select(
        *(finite[name].len().alias(f"{name}\0n") for name in numeric if frame.schema[name].is_float()),
        *(finite[name].mean().cast(pl.Float64).alias(f"{name}\0mean") for name in numeric),
        *(finite[name].std(ddof=0).cast(pl.Float64).alias(f"{name}\0std") for name in numeric),
    )
    found = measured.row(0, named=True) if measured.height else {}
    return {name: _summary(frame[name], found) for name in frame.columns}


def _summary(column: pl.Series, found: Mapping[str, float | None]) -> ColumnProfile:
    name, rows = column.name, len(column)
    present = found.get(f"{name}\0n")
    missing = column.null_count() if present is None else rows - int(present)
    base = ColumnProfile(name, str(column.dtype), kind_of(column.dtype), rows, missing)
    return replace(base, mean=found.get(f"{name}\0mean"), std=found.get(f"{name}\0std"))


def distributions(frame: pl.DataFrame, columns: Iterable[str]) -> dict[str, ColumnProfile]:
    """The full profile of the columns named."""
    return {name: profile_column(frame[name]) for name in columns}


def to_table(profiles: Profiles, partition: str | None) -> pl.DataFrame:
    """The rows of one partition."""
    rows = [
        {
            "partition": partition or WHOLE,
            "column": profile.name,
            "dtype": profile.dtype,
            "rows": profile.rows,
            "nulls": int(profile.missing),
            "mean": profile.mean,
            "std": profile.std,
            "profile": profile.to_json(),
        }
        for profile in profiles.values()
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def from_table(table: pl.DataFrame) -> dict[str, dict[str, ColumnProfile]]:
    """Read them back, by partition and column; raises ProfileError."""
    found: dict[str, dict[str, ColumnProfile]] = {}
    for partition, column, profile in table.select("partition", "column", "profile").iter_rows():
        found.setdefault(partition, {})[column] = ColumnProfile.from_json(profile)
    return found
