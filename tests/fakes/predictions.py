"""A prediction log in memory: what a test says was answered."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from resources.protocols import Environment

_SCHEMA = {
    "request_id": pl.String(),
    "row": pl.Int32(),
    "at": pl.Datetime("us", "UTC"),
    "score": pl.Float64(),
    "label": pl.String(),
    "version": pl.Int32(),
}


class MemoryPredictions:
    """`broken`: reading it fails with this error."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.broken: Exception | None = None

    def answer(
        self, version: int, at: datetime, answers: Mapping[str, str], inputs: Mapping[str, Any] | None = None
    ) -> None:
        """One row for each request: its id and the label it got; inputs by request, where a test has them."""
        for request, label in answers.items():
            row = {
                "request_id": request,
                "row": 0,
                "at": at,
                "score": 0.5,
                "label": label,
                "version": version,
            }
            self.rows.append({**row, **({"inputs": inputs[request]} if inputs else {})})

    def scan(
        self,
        model: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        environment: Environment = "production",
        versions: Sequence[int] | None = None,
    ) -> pl.LazyFrame:
        """As `resources.predictions.Predictions` promises."""
        if self.broken:
            raise self.broken
        found = [row for row in self.rows if versions is None or row["version"] in versions]
        if not found:
            return pl.LazyFrame(schema=_SCHEMA)
        rows = pl.DataFrame(found, schema_overrides=_SCHEMA, infer_schema_length=None).lazy()
        if start is not None:
            rows = rows.filter(pl.col("at") >= start)
        return rows if end is None else rows.filter(pl.col("at") < end)
