"""Which windows of a dataset's features a training would take now, or would have taken at some moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from mlcicd_assets.ml.catalogue import DataLane, ModelLane
from mlcicd_assets.ml.data.feature_table import ARRIVES, LABEL, TIME
from mlcicd_assets.ml.periods import end_of, overlapping
from mlcicd_assets.ml.training.splits import NotEnoughData, Split, choose_windows
from resources.protocols import Lake


@dataclass(frozen=True)
class Windows:
    """Training window and holdout, of one version of the features."""

    split: Split
    version: int  # the table's
    contents: Mapping[str | None, str]  # by partition
    kind: str  # of partitions

    def partitions(self, start: datetime, end: datetime) -> list[str] | None:
        """The stored partitions that a span meets; None where there are none to choose among."""
        if self.kind == "none":
            return None
        keys = [key for key in self.contents if key is not None]
        return overlapping(self.kind, keys, start.replace(tzinfo=None), end.replace(tzinfo=None))


def late_column(data: DataLane) -> str | None:
    """The features' column that says when a label came to be known; None where it is known at once."""
    return ARRIVES if data.dataset.label and data.dataset.label.arrives else None


def windows_now(
    lane: ModelLane, lake: Lake, *, as_of: str | None = None, version: int | None = None
) -> Windows:
    """Choose the windows, by default as of the end of the newest partition; raises NotEnoughData."""
    table = lane.data.table("features")
    version = lake.table_version(table) if version is None else version
    stored = lake.versions(table)
    moment = datetime.fromisoformat(as_of) if as_of else _newest(lane.data, lake, list(stored))
    late = late_column(lane.data)
    rows = lake.scan(table, version=version).select([TIME, LABEL, *([late] if late else [])])
    split = choose_windows(rows, lane.model, as_of=moment, arrives=late)
    contents = {key: one.content for key, one in stored.items()}
    return Windows(split, version, contents, lane.data.dataset.partitions)


def _newest(data: DataLane, lake: Lake, keys: list[str | None]) -> datetime:
    known = [key for key in keys if key is not None]
    if known and data.dataset.partitions != "dynamic":  # keys without a span
        return end_of(data.dataset.partitions, max(known))
    newest = lake.scan(data.table("features")).select(pl.col(TIME).max()).collect().item()
    if not isinstance(newest, datetime):
        raise NotEnoughData(f"{data.table('features')} has no rows; land records and materialize it first")
    return newest + timedelta(microseconds=1)  # so that the last record lies before it too
