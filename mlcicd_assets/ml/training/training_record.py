"""What a training used: written beside the package, and enough to do it again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlcicd_assets.ml.tasks import Task
from mlcicd_assets.ml.training.cost import TrainingCost
from mlcicd_assets.ml.training.environment import Environment
from mlcicd_assets.ml.training.splits import Split
from mlcicd_assets.ml.training.targets import Imbalance
from mlcicd_assets.ml.training.tuning_record import TuningRecord


class DataUsed(BaseModel):
    """One partition of a table, as it was read."""

    model_config = ConfigDict(frozen=True)

    table: str
    partition: str | None
    version: int  # the table's Delta version at the time of reading
    content: str  # hash of the partition's rows


class CodeUsed(BaseModel):
    """The code that a training was made from, and what it had passed."""

    model_config = ConfigDict(frozen=True)

    tree: str  # the content of all code, as `source_code` has it
    checks: dict[str, str]  # check -> the run that it passed in


class TrainingRecord(BaseModel):
    """Windows, data versions, parameters and code of one training."""

    model_config = ConfigDict(frozen=True)

    model: str
    digest: str
    as_of: datetime
    train: tuple[datetime, datetime]
    holdout: tuple[datetime, datetime]
    train_rows: int
    holdout_rows: int
    excluded_rows: int  # in the holdout's span, but without a known label
    data: list[DataUsed]
    features: list[str]
    params: dict[str, str | int | float | bool | None]
    seed: int
    seconds: float
    commit: str
    dirty: bool
    author: str = ""  # of the commit: "Ada <ada@example.org>"
    tables: dict[str, int] = {}  # every table that was read, and its Delta version
    environment: Environment | None = None  # None in records from before it was captured
    task: Task = "binary"
    imbalance: Imbalance = "none"
    class_rows: dict[str, int] = {}  # rows of the training window by class
    engine: Literal["onnx", "skops"] = "onnx"  # what serves it
    not_onnx: str = ""  # why it is not ONNX
    tuning: TuningRecord | None = None  # None where nothing was tuned
    cost: TrainingCost | None = None  # None in records from before it was measured
    code: CodeUsed | None = None  # None where nothing was asked of the code

    def inputs(self) -> dict[str, str]:
        """The data by the names that records use: `flights/features@2013-01` -> content."""
        return used_contents(self.data)


def used_contents(data: Sequence[DataUsed]) -> dict[str, str]:
    """Content by the name that records use."""
    return {
        used.table if used.partition is None else f"{used.table}@{used.partition}": used.content
        for used in data
    }


def windows(split: Split) -> dict[str, object]:
    """A split in the terms of the record."""
    return {
        "as_of": split.as_of,
        "train": (split.train.start, split.train.end),
        "holdout": (split.holdout.start, split.holdout.end),
        "train_rows": split.train.rows,
        "holdout_rows": split.holdout.rows,
        "excluded_rows": split.holdout.excluded,
    }
