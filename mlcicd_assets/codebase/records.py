"""Records to try code on: validated ones, else landed ones, else made up by the contract."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mlcicd_assets.codebase.project import Project
from mlcicd_assets.ml.catalogue import DataLane, read_reference
from mlcicd_assets.ml.data.contract_schema import conform, declared_columns, schema_of
from mlcicd_assets.ml.user_code import load_object

if TYPE_CHECKING:
    from resources.protocols import Lake, Landing

_EPOCH = np.datetime64("2026-01-01T00:00:00", "us")
_MADE_UP = 1_000
_WORDS = ("s0", "s1", "s2", "s3", "s4")
_NULL_EACH = 7  # of a nullable column one value in so many is missing


def records_at_hand(project: Project, lane: DataLane, rows: int) -> tuple[pl.DataFrame, str]:
    """At most so many records of a dataset, and where they are from."""
    validated = _validated(project.lake, lane, rows) if project.lake else None
    if validated is not None:
        return validated, "validated_data"
    contract = load_object(*read_reference(lane.folder, lane.dataset.contract))
    landed = _landed(project.landing, lane, rows) if project.landing else None
    if landed is not None:
        return conform(landed, contract, lane.dataset.contract), "what has landed"
    made = made_up(contract, lane.dataset.contract, min(rows, _MADE_UP))
    keys = [key for key in lane.dataset.keys if key in made.columns]
    return made.unique(keys, keep="first", maintain_order=True) if keys else made, "made up by the contract"


def _validated(lake: "Lake", lane: DataLane, rows: int) -> pl.DataFrame | None:
    table = lane.table("validated_data")
    stored = lake.versions(table)
    if not stored:
        return None
    newest = max((key for key in stored if key is not None), default=None)
    return lake.scan(table, partitions=[newest] if newest else None).head(rows).collect()


def _landed(landing: "Landing", lane: DataLane, rows: int) -> pl.DataFrame | None:
    from resources.protocols import ResourceError

    template = lane.dataset.source.files
    if not template:
        return None
    keys = landing.partitions(template) if lane.dataset.partitions != "none" else [None]
    try:
        return landing.read(landing.find(template, keys[-1])).head(rows) if keys else None
    except ResourceError:  # none has landed, or it cannot be read: the data lane says so
        return None


def made_up(contract: Any, named: str, rows: int, *, seed: int = 0) -> pl.DataFrame:
    """Records that a contract's types, ranges and choices allow; other rules are not looked at."""
    rng = np.random.default_rng(seed)
    columns = {
        name: _column(column, rows, rng)
        for name, column in declared_columns([], schema_of(contract, named))
        if not column.regex
    }
    return pl.DataFrame(columns)


def _column(column: Any, rows: int, rng: np.random.Generator) -> pl.Series:
    dtype = column.dtype.type if column.dtype is not None else pl.String()
    bounds = {name: value for check in column.checks for name, value in (check.statistics or {}).items()}
    choices = bounds.get("allowed_values")
    if choices:
        made = pl.Series([list(choices)[index] for index in rng.integers(0, len(choices), rows)])
    elif column.unique:
        made = pl.Series(np.arange(rows))
    else:
        made = _values(dtype, bounds, rows, rng)
    series = made.cast(dtype, strict=False)
    if column.nullable:
        missing = pl.Series(np.arange(rows) % _NULL_EACH == _NULL_EACH - 1)
        series = pl.select(pl.when(~missing).then(series)).to_series()
    return series


def _values(dtype: Any, bounds: dict[str, Any], rows: int, rng: np.random.Generator) -> pl.Series:
    if dtype == pl.Boolean:
        return pl.Series(rng.random(rows) < 0.5)
    if dtype.is_temporal():
        minutes = rng.integers(0, 60 * 24 * 30, rows).astype("timedelta64[m]")
        return pl.Series(_EPOCH + minutes)
    if dtype.is_numeric():
        low = float(bounds.get("min_value", 0))
        high = float(bounds.get("max_value", low + 100))
        return pl.Series(rng.uniform(low, min(high, low + 1_000), rows))
    return pl.Series([_WORDS[index] for index in rng.integers(0, len(_WORDS), rows)])
