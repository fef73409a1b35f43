"""What a model may learn: one of two classes, one of many, or a number."""

from collections.abc import Mapping
from typing import Literal, get_args

Task = Literal["binary", "multiclass", "regression"]
LabelKind = Literal["binary", "classes", "number"]
ClassLabel = int | str

TASKS: tuple[Task, ...] = get_args(Task)
# What a dataset's label must be for a model of the task.
LABEL_KINDS: Mapping[Task, LabelKind] = {
    "binary": "binary",
    "multiclass": "classes",
    "regression": "number",
}
