"""Labels that come late, as they were known at a moment: nothing that arrived after it counts.

A row without a label is unlabelled, never a negative. The time of arrival is the dataset's `label.arrives`;
without it a label is known with its record, so from the record's own time on.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from mlcicd_assets.ml.data.labels import LabelError, label_column
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.monitoring.answered import as_text, naive_utc
from mlcicd_assets.ml.training.splits import known_label

TRUTH = "_truth"


@dataclass(frozen=True)
class Labelled:
    """Answered rows with their labels; `rows` are the answered records, each once."""

    frame: pl.DataFrame  # the answered rows whose label was known, with TRUTH
    rows: int

    @property
    def share(self) -> float | None:
        """The share of records whose label was known; None without records."""
        return self.frame.height / self.rows if self.rows else None


def known_labels(
    records: pl.LazyFrame, dataset: DatasetDeclaration, as_of: datetime, *, since: datetime | None = None
) -> pl.DataFrame:
    """Keys (`_<key>`, as text) and TRUTH of the validated records whose label was known at `as_of`.

    `since` leaves out records that happened before. Of records with the same keys the last counts. Raises
    LabelError where the records lack a column.
    """
    label, schema = dataset.label, records.collect_schema()
    if label is None or not dataset.keys:
        raise LabelError(
            f"{dataset.name} declares no label or no keys, so a label does not find its prediction"
        )
    moment = as_of.astimezone(UTC).replace(tzinfo=None)
    needed = [*dataset.keys, label.column, *([label.arrives] if label.arrives else [])]
    needed += [dataset.time] if dataset.time else []
    if missing := sorted(set(needed) - set(schema)):
        raise LabelError(
            f"{dataset.name}/validated_data has no column {', '.join(missing)}: materialize it again"
        )
    rows = records.select(list(dict.fromkeys(needed)))
    if dataset.time:
        happened = naive_utc(pl.col(dataset.time), schema[dataset.time])
        earliest = since.astimezone(UTC).replace(tzinfo=None) if since else datetime.min
        rows = rows.filter(happened.is_between(earliest, moment, closed="left"))
    if label.arrives:
        rows = rows.with_columns(naive_utc(pl.col(label.arrives), schema[label.arrives]).alias(label.arrives))
    known = rows.filter(known_label(moment, label=label.column, arrives=label.arrives)).collect()
    truth = label_column(label, known).alias(TRUTH)
    keys = known.select(as_text(pl.col(key), known.schema[key]).alias(f"_{key}") for key in dataset.keys)
    found = keys.with_columns(truth).filter(pl.col(TRUTH).is_not_null())
    return found.unique([f"_{key}" for key in dataset.keys], keep="last", maintain_order=True)


def with_labels(rows: pl.DataFrame, labels: pl.DataFrame, dataset: DatasetDeclaration) -> Labelled:
    """Join what one version answered to the labels; a record that was asked about twice counts once."""
    keys = [f"_{key}" for key in dataset.keys]
    if not set(keys) <= set(rows.columns):
        return Labelled(rows.clear().with_columns(pl.lit(None).alias(TRUTH)), rows.height)
    named = rows.filter(pl.all_horizontal(pl.col(key).is_not_null() for key in keys))
    each = named.unique(keys, keep="last", maintain_order=True)
    # A request without keys is a record too, one whose label will never find it.
    return Labelled(each.join(labels, on=keys, how="inner"), each.height + rows.height - named.height)
