"""What has landed whole, and what is still being written."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Unfinished:
    """A file that is not read yet."""

    name: str  # its path or address
    problem: str  # "it does not end like Parquet"
    seconds: float  # since it was first seen so


@dataclass(frozen=True)
class Arrived:
    """The state of what a template names; an unpartitioned dataset has the partition None."""

    whole: Mapping[str | None, str]  # partition -> fingerprint, as records keep it
    unfinished: Mapping[str | None, Unfinished]
