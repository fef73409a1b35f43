"""Which partitions can be made, and what has landed for them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from mlcicd_assets.automation.blueprint import Blueprint, DatasetShape
from mlcicd_assets.ml.periods import FORMATS, end_of, start_of
from resources.protocols import Landing, ResourceError

# What a query would answer is known only by asking it: it counts as there, and as unchanged.
ASKED = "asked"


def landed_files(blueprint: Blueprint, landing: Landing, now: datetime) -> dict[str, dict[str | None, str]]:
    """The fingerprints of what has landed, by dataset and partition.

    `now` (without offset, UTC) ends the partitions: one that is not over yet cannot be materialized.
    """
    return {name: _landed(dataset, landing, now) for name, dataset in blueprint.datasets.items()}


def _landed(dataset: DatasetShape, landing: Landing, now: datetime) -> dict[str | None, str]:
    template = dataset.files
    if not template:
        keys: list[str | None] = [None] if dataset.partitions == "none" else [*_calendar(dataset, now)]
        return dict.fromkeys(keys, ASKED)
    if dataset.partitions == "none":
        try:
            return {None: landing.find(template, None).fingerprint}
        except ResourceError:  # nothing has landed, and assess says so
            return {}
    found = [key for key in landing.partitions(template) if _complete(dataset, key, now)]
    return {key: landing.find(template, key).fingerprint for key in found}


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


def _complete(dataset: DatasetShape, key: str, now: datetime) -> bool:
    if dataset.partitions not in FORMATS:
        return True
    try:
        start, end = start_of(dataset.partitions, key), end_of(dataset.partitions, key)
    except ValueError:  # a file beside the partitions, named otherwise
        return False
    return end <= now and (dataset.start is None or start.date() >= date.fromisoformat(dataset.start))
