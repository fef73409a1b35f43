"""The layout of a features table: the model's columns, and beside them, marked by `_`, facts of the row."""

import polars as pl

from mlcicd_assets.ml.data.labels import label_column
from mlcicd_assets.ml.declarations import DatasetDeclaration

TIME = "_time"
LABEL = "_label"  # 1 and 0, a class or a number, by the label's kind; null where it is not known
ARRIVES = "_arrives"  # when the label became known; only where the dataset declares it


def assemble(dataset: DatasetDeclaration, records: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """Put time, label, its arrival, keys and protected columns (`_age_group`) beside the feature columns."""
    about = {f"_{name}": pl.col(name) for name in [*dataset.keys, *dataset.protected]}
    if dataset.time:
        about[TIME] = pl.col(dataset.time)
    if dataset.label and dataset.label.arrives:
        about[ARRIVES] = pl.col(dataset.label.arrives)
    beside = records.select(expression.alias(name) for name, expression in about.items())
    if dataset.label:
        beside = beside.with_columns(label_column(dataset.label, records).alias(LABEL))
    return pl.concat([beside, features], how="horizontal")


def model_columns(columns: list[str]) -> list[str]:
    """The columns that a model learns from."""
    return [name for name in columns if not name.startswith("_")]
