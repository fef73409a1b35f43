"""Which partitions can be made, and what has landed for them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from mlcicd_assets.automation.blueprint import Blueprint, DatasetShape
from mlcicd_assets.ml.periods import FORMATS, end_of, start_of
from resources.protocols import Landing, ResourceError, Warehouse

# What a query would answer is known only by asking it: it counts as there, and as unchanged.
ASKED = "asked"
# How records name what raw_data was made of, where its fingerprint can be compared with what has landed.
LANDED_INPUTS = ("file", "watermark")


def landed_files(
    blueprint: Blueprint, landing: Landing, now: datetime, warehouse: Warehouse | None = None
) -> dict[str, dict[str | None, str]]:
    """The fingerprints of what has landed, by dataset and partition.

    `now` (without offset, UTC) ends the partitions: one that is not over yet cannot be materialized.
    Without a `warehouse`, or while it does not answer, what a query gives counts as unchanged.
    """
    return {name: _landed(dataset, landing, now, warehouse) for name, dataset in blueprint.datasets.items()}


def asked_partitions(dataset: DatasetShape, now: datetime) -> dict[str | None, str]:
    """The partitions of a source that nothing is known of before it is asked."""
    keys: list[str | None] = [None] if dataset.partitions == "none" else [*_calendar(dataset, now)]
    return dict.fromkeys(keys, ASKED)


def _landed(
    dataset: DatasetShape, landing: Landing, now: datetime, warehouse: Warehouse | None
) -> dict[str | None, str]:
    template = dataset.files
    if dataset.watermark and warehouse is not None:
        try:
            return marked_partitions(dataset, warehouse, now)
        except ResourceError:  # `data_trigger` tells of it; what stands is not made anew for that
            return asked_partitions(dataset, now)
    if not template:
        return asked_partitions(dataset, now)
    if dataset.partitions == "none":
        try:
            return {None: landing.find(template, None).fingerprint}
        except ResourceError:  # nothing has landed, and assess says so
            return {}
    found = [key for key in landing.partitions(template) if complete(dataset, key, now)]
    return {key: landing.find(template, key).fingerprint for key in found}


def marked_partitions(
    dataset: DatasetShape, warehouse: Warehouse, now: datetime, *, max_age_s: float = 60.0
) -> dict[str | None, str]:
    """What a watermark says of the partitions that are over; raises ResourceError."""
    marks = warehouse.marks(dataset.watermark, dataset.url_env, max_age_s=max_age_s)
    return {key: mark for key, mark in marks.items() if complete(dataset, key, now)}


def _calendar(dataset: DatasetShape, now: datetime) -> Iterator[str]:
    kind = dataset.partitions
    if kind not in FORMATS or dataset.start is None:
        return
    moment = datetime.combine(date.fromisoformat(dataset.start), datetime.min.time())
    if kind == "weekly":  # Dagster's weeks begin on Sunday
        moment += timedelta(days=(6 - moment.weekday()) % 7)
    key = moment.strftime(FORMATS[kind])
    while end_of(kind, key) <= now:
        yield key
        key = end_of(kind, key).strftime(FORMATS[kind])


def complete(dataset: DatasetShape, key: str | None, now: datetime) -> bool:
    """Whether a key is one of a dataset's partitions, and that is over."""
    if dataset.partitions not in FORMATS or key is None:
        return (key is None) == (dataset.partitions == "none")
    try:
        start, end = start_of(dataset.partitions, key), end_of(dataset.partitions, key)
    except ValueError:  # a file beside the partitions, named otherwise
        return False
    return end <= now and (dataset.start is None or start.date() >= date.fromisoformat(dataset.start))
