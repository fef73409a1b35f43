"""Which columns each feature is made of, told by polars' own optimizer.

The features function gets sources without rows that only note which columns are asked of them; each output
column is then computed alone. A function that collects within itself is noted as it runs, for every feature.
"""

from collections.abc import Callable, Iterator, Mapping

import polars as pl
from polars.io.plugins import register_io_source


def column_lineage(
    function: Callable[..., pl.LazyFrame], records: str, schemas: Mapping[str, pl.Schema]
) -> dict[str, set[str]]:
    """`{"plane_age": {"flights.scheduled_departure", "planes.year", …}}`.

    `schemas` has the columns of the dataset named `records` and of each lookup. Columns that decide how rows
    are joined count for every feature. Raises what the function raises.
    """
    used: set[str] = set()
    frames = {name: _noting(name, schema, used) for name, schema in schemas.items()}
    output = function(frames.pop(records), **frames).lazy()
    columns, eager = output.collect_schema().names(), set(used)
    lineage: dict[str, set[str]] = {}
    for column in columns:
        used.clear()
        output.select(column).collect()
        lineage[column] = used | eager
    return lineage


def _noting(name: str, schema: pl.Schema, used: set[str]) -> pl.LazyFrame:
    def read(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,  # noqa: ARG001  polars' signature
        batch_size: int | None,  # noqa: ARG001
    ) -> Iterator[pl.DataFrame]:
        asked = with_columns if with_columns is not None else schema.names()
        filtered = predicate.meta.root_names() if predicate is not None else []
        used.update(f"{name}.{column}" for column in [*asked, *filtered])
        yield pl.DataFrame(schema=schema).select(asked)

    return register_io_source(read, schema=schema)
