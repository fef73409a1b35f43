"""What a model's declaration says of its tuning."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlcicd_assets.ml.declared import Declaration, DurationText, Reference
from mlcicd_assets.ml.thresholds import parse_duration

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(MB|GB)\s*$")


def parse_size(text: str) -> int:
    """Read `500MB` or `2GB` as bytes; raises ValueError in plain words."""
    found = _SIZE.match(text)
    if not found:
        raise ValueError(f"a size of memory reads like '500MB' or '2GB', not {text!r}")
    return int(float(found[1]) * {"MB": 10**6, "GB": 10**9}[found[2]])


def _size(value: str) -> str:
    parse_size(value)
    return value


SizeText = Annotated[str, AfterValidator(_size)]


class Tune(Declaration):
    """How the estimator's parameters are searched, inside the training window."""

    search: Reference = Field(description="A function (trial) -> parameters: 'model.py:search_space'.")
    trials: int = Field(default=20, ge=1, description="How many sets of parameters are tried.")
    timeout: DurationText | None = Field(default=None, description="No trial goes on beyond it: '30m'.")
    metric: str | None = Field(
        default=None, description="What is optimised; by default the champion's metric."
    )
    folds: int = Field(
        default=3, ge=1, le=20, description="Validations, each on newer rows than those learned from."
    )
    validation: float = Field(
        default=0.3, gt=0, lt=1, description="The newest share of the training window, cut into the folds."
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        default="median", description="What gives up a trial after a fold."
    )
    batch: int = Field(
        default=4, ge=1, description="Trials that are drawn together, before one of them runs."
    )
    jobs: int | None = Field(default=None, ge=1, description="Processes at once; by default one per core.")
    memory: SizeText | None = Field(default=None, description="What one process may take: '2GB'.")
    seed: int | None = Field(default=None, ge=0, description="By default the model's seed.")

    @property
    def budget(self) -> timedelta | None:
        """The timeout."""
        return parse_duration(self.timeout) if self.timeout else None
