"""What every declaration is made of: closed models, and texts that are checked as they are read."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from mlcicd_assets.ml.thresholds import Bound, parse_duration

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_REFERENCE = re.compile(r"^[\w./-]+\.py:[A-Za-z_]\w*$")


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise ValueError(f"a name is lower_snake_case and starts with a letter, not {value!r}")
    return value


def _reference(value: str) -> str:
    if not _REFERENCE.match(value) or ".." in Path(value.split(":")[0]).parts or value.startswith("/"):
        raise ValueError(f"a reference reads like 'model.py:estimator', beside the defs.yaml, not {value!r}")
    return value


def _folder(value: str) -> str:
    if not value or ".." in Path(value).parts or Path(value).is_absolute():
        raise ValueError(f"a folder is named from the defs.yaml, without '..', not {value!r}")
    return value


def _bound(value: str) -> str:
    Bound.parse(value)
    return value


def _duration(value: str) -> str:
    parse_duration(value)
    return value


Name = Annotated[str, AfterValidator(_name)]
Reference = Annotated[str, AfterValidator(_reference)]
Folder = Annotated[str, AfterValidator(_folder)]
BoundText = Annotated[str, AfterValidator(_bound)]
DurationText = Annotated[str, AfterValidator(_duration)]


class Declaration(BaseModel):
    """Closed and frozen: an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)
