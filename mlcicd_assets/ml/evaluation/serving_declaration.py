"""What production gives a model's server, and what it asks of it: the declaration's `serving`."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from mlcicd_assets.ml.declared import Declaration, DurationText

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)\s*$")
_BYTES = {"MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30}


def parse_size(text: str) -> float:
    """Read `512MB`, `1.5GB`, `512MiB` or `2GiB` as bytes; raises ValueError in plain words."""
    found = _SIZE.match(text) if isinstance(text, str) else None
    if not found or float(found[1]) <= 0:
        raise ValueError(f"a size reads like '512MB' or '1.5GiB', not {text!r}")
    return float(found[1]) * _BYTES[found[2]]


def _size(value: str) -> str:
    parse_size(value)
    return value


SizeText = Annotated[str, AfterValidator(_size)]


class Serving(Declaration):
    """A server's limits, and the load under which a candidate is measured before it is released."""

    memory: SizeText | None = Field(
        default=None, description="What a server may have resident, '512MB'; one that exceeds it is ended."
    )
    cpu: int | None = Field(default=None, ge=1, description="Cores of the server under evaluation.")
    threads: int = Field(default=1, ge=1, le=64, description="What one request may use.")
    concurrency: int = Field(default=4, ge=1, le=64, description="Requests under way at once, when measured.")
    requests: int = Field(
        default=500, ge=1, le=100_000, description="Requests of one record each, measured before release."
    )
    rate: float = Field(default=20.0, gt=0, le=2_000, description="Requests a second in the staging test.")
    load: DurationText = Field(default="5s", description="How long the staging test keeps that rate up.")
    timeout: DurationText = Field(
        default="1s", description="What takes longer to answer has failed, '250ms'."
    )

    @property
    def memory_mb(self) -> float | None:
        """The limit in 10^6 bytes."""
        return parse_size(self.memory) / 1e6 if self.memory else None
