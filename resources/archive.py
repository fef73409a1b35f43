"""Where past days of the prediction log are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol


@dataclass(frozen=True)
class Compacted:
    """One day that went into the lake."""

    day: date
    rows: int  # that the lake has of it now
    files: int  # that went, or were made smaller


class PredictionArchive(Protocol):
    """Moves past days of the log to where they are kept."""

    def compact_past(self, model: str, now: datetime, *, keep: timedelta) -> Sequence[Compacted]:
        """Keep every day that is over, and then remove it from the servers' files; oldest first.

        Days older than `keep` are deleted. Raises ResourceError where a day cannot be written or a file not
        be read; nothing is lost, and nothing is there twice for a reader of `Predictions`.
        """
        ...
