"""The rows that challenger and champion were judged on."""

from datetime import datetime

from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.training.training_record import DataUsed


class JudgedHoldout(Evidence):
    """The most recent labelled window at the time of the evaluation: `start` inclusive, `end` exclusive."""

    start: datetime
    end: datetime
    rows: int
    excluded: int  # in the window, but without a known label
    known_at: datetime  # labels that became known until then count
    data: list[DataUsed]  # the features of the window, as they were read
    note: str = ""  # why it is shorter than declared


def trimmed(start: datetime, end: datetime, learned: dict[str, datetime | None]) -> tuple[datetime, str]:
    """Where a window begins of which nobody has learned, and why it is not where it was.

    `learned` says until when each model's training window lasts. Whoever learned from rows has an advantage
    on them, so they are left out for both. Raises ValueError where nothing is left.
    """
    begin, why = start, ""
    for who, until in learned.items():
        if until is not None and until > begin:
            begin = until
            why = f"the {who} has learned from rows until {until:%Y-%m-%d %H:%M}: left out for both"
    if begin >= end:
        raise ValueError(
            f"no labelled row until {end:%Y-%m-%d %H:%M} is unseen: {why}; train the challenger on newer data"
        )
    return begin, why
