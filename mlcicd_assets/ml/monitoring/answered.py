"""Rows of the prediction log as monitoring takes them: in whose window they lie, by which keys labels come.

Columns: request_id, row, at, time (whose window counts), version, role, latency_ms, score, label, and
`_<key>` for each key of the dataset that is recorded, as text. A request that was asked twice (retried,
hedged) is in the log twice: its last answer of a version counts.
"""

from collections.abc import Mapping

import polars as pl

from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.monitoring.declaration import Monitor
from mlcicd_assets.ml.monitoring.windows import Span

TIME, INPUTS = "time", "inputs"
_TAKEN = ("request_id", "row", "at", "role", "latency_ms", "score", "label", "version")
_ROW = ["version", "request_id", "row"]


def answered(
    log: pl.LazyFrame, dataset: DatasetDeclaration, monitor: Monitor, span: Span, *, inputs: bool = False
) -> pl.DataFrame:
    """The rows of one window, oldest first; with the recorded `inputs` where they are wanted."""
    schema = log.collect_schema()
    recorded = _recorded(schema)
    own = [name for name in dataset.keys if name in recorded]
    keys = [as_text(_input(name), recorded[name]).alias(f"_{name}") for name in own]
    time = record_time(schema, dataset, monitor)
    kept = [pl.col(name) for name in _TAKEN if name in schema]
    wanted = [pl.col(INPUTS)] if inputs and INPUTS in schema else []
    rows = log.select(*kept, time.alias(TIME), *keys, *wanted)
    inside = pl.col(TIME).is_between(span.start, span.end, closed="left")
    found = rows.filter(inside).collect()
    return found.sort("at").unique(_ROW, keep="last", maintain_order=True)


def record_time(schema: pl.Schema, dataset: DatasetDeclaration, monitor: Monitor) -> pl.Expr:
    """The record's own time where it was recorded, else the request's; UTC."""
    at = pl.col("at")
    dtype = _recorded(schema).get(dataset.time or "")
    if monitor.clock == "request" or dtype is None:
        return at
    column = _input(dataset.time or "")
    if dtype == pl.String:  # sent beside the inputs, or hashed
        column = column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        return pl.coalesce(column, at)
    if not dtype.is_temporal() or dtype == pl.Time:
        return at
    return pl.coalesce(naive_utc(column, dtype).dt.replace_time_zone("UTC"), at)


def by_record(schema: pl.Schema, dataset: DatasetDeclaration, monitor: Monitor) -> bool:
    """Whether windows may go by the record's time, so that the request's says nothing of them."""
    return monitor.clock == "record" and (dataset.time or "") in _recorded(schema)


def _recorded(schema: pl.Schema) -> Mapping[str, pl.DataType]:
    inputs = schema.get(INPUTS)
    return pl.DataFrame(schema=inputs.to_schema()).schema if isinstance(inputs, pl.Struct) else {}


def _input(name: str) -> pl.Expr:
    return pl.col(INPUTS).struct.field(name)


def naive_utc(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A time as UTC without a zone."""
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"))


def as_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A key as text, alike whether the request gave it as a value or as text."""
    if dtype.is_temporal() and dtype != pl.Time:
        return naive_utc(column, dtype).dt.strftime("%Y-%m-%dT%H:%M:%S")
    return column.cast(pl.String)
