"""Reading a partition's records from wherever its dataset's source is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from mlcicd_assets.ml.catalogue import DataLane, read_reference
from mlcicd_assets.ml.periods import end_of, start_of
from mlcicd_assets.ml.user_code import load_function
from resources.protocols import Landing, ResourceError, Warehouse


@dataclass(frozen=True)
class Delivery:
    """Records as they came, and what tells whether they came otherwise than before."""

    frame: pl.DataFrame
    name: str  # of the input, as records keep it
    fingerprint: str | None  # None: the records' own content
    shown: Mapping[str, Any]


def deliver(lane: DataLane, partition: str | None, landing: Landing, warehouse: Warehouse) -> Delivery:
    """One partition's records; raises ResourceError or UserCodeError naming place and remedy."""
    source = lane.dataset.source
    if source.files:
        landed = landing.find(source.files, partition)
        return Delivery(
            landing.read(landed), "file", landed.fingerprint, {"file": landed.uri or str(landed.path)}
        )
    start, end = bounds(lane, partition)
    if source.sql:
        asked = {"partition": partition, "start": start, "end": end}
        # Before the records: what changes while they are read is then seen as changed since.
        mark = _mark(lane, partition, warehouse) if source.watermark else None
        frame = warehouse.query(source.sql, source.url_env, asked)
        return Delivery(frame, "watermark" if mark else "query", mark, {"query": source.sql})
    function = load_function(*read_reference(lane.folder, source.python or ""))
    return Delivery(_called(function, lane, partition, start, end), "python", None, {"read by": source.named})


def bounds(lane: DataLane, partition: str | None) -> tuple[datetime | None, datetime | None]:
    """The span of a partition, None where it has none."""
    kind = lane.dataset.partitions
    if partition is None or kind in {"none", "dynamic"}:
        return None, None
    return start_of(kind, partition), end_of(kind, partition)


def _mark(lane: DataLane, partition: str | None, warehouse: Warehouse) -> str:
    source = lane.dataset.source
    marks = warehouse.marks(source.watermark, source.url_env, max_age_s=0)
    if partition not in marks:
        named = ", ".join(sorted(str(key) for key in marks)[-3:]) or "none"
        raise ResourceError(
            f"source.watermark of {lane.dataset.name} does not name the partition {partition} "
            f"(it names {named}): its column 'partition' is written as Dagster writes the keys"
        )
    return marks[partition]


def _called(
    function: Callable[..., Any],
    lane: DataLane,
    partition: str | None,
    start: datetime | None,
    end: datetime | None,
) -> pl.DataFrame:
    named = f"{lane.folder / (lane.dataset.source.python or '')}"
    try:
        made = function(partition, start, end)
        frame = made.collect() if isinstance(made, pl.LazyFrame) else made
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        what = f"raised {type(error).__name__} for {partition or 'the dataset'}: {reason}"
        raise ResourceError(f"{named} {what}; correct it there") from error
    if not isinstance(frame, pl.DataFrame):
        raise ResourceError(f"{named} returned {type(frame).__name__}; it must return a polars frame")
    if frame.is_empty():
        raise ResourceError(f"{named} returned no records for {partition or 'the dataset'}")
    return frame
