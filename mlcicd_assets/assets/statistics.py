"""Keeping the statistics of each accepted partition beside its records."""

import polars as pl

from mlcicd_assets.ml.catalogue import DataLane
from mlcicd_assets.ml.data.feature_table import LABEL, model_columns
from mlcicd_assets.ml.data.partition_statistics import distributions, summarise, to_table
from resources.protocols import Lake

RECORDS = "statistics"
FEATURES = "feature_statistics"


def keep_record_statistics(lake: Lake, lane: DataLane, frame: pl.DataFrame, partition: str | None) -> None:
    """Counts, nulls and means of validated records, into `<dataset>/statistics`."""
    lake.write(lane.table(RECORDS), to_table(summarise(frame), partition), partition=partition)


def keep_feature_statistics(lake: Lake, lane: DataLane, frame: pl.DataFrame, partition: str | None) -> None:
    """The distributions of features and label, into `<dataset>/feature_statistics`."""
    columns = [*model_columns(frame.columns), *([LABEL] if LABEL in frame.columns else [])]
    lake.write(lane.table(FEATURES), to_table(distributions(frame, columns), partition), partition=partition)
