"""How raw records are disturbed: column by column, the same values for the same seed, in the same types."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Literal

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Column
from mlcicd_assets.ml.evaluation.plans import RobustnessPlan

Kind = Literal["noise", "missing", "unseen", "extremes"]
KINDS: tuple[Kind, ...] = ("noise", "missing", "unseen", "extremes")
UNSEEN = "never seen before"
_LONG = "x" * 10_000
_HUGE = 1e9
# (factor, offset) of what a reading becomes in the other unit
_TEMPERATURES = {"fahrenheit": (1.8, 32.0), "celsius": (1 / 1.8, -32 / 1.8)}


@dataclass(frozen=True)
class Unit:
    """A column as it would be in another unit."""

    column: str
    name: str  # "x 1000", "fahrenheit"
    factor: float
    offset: float = 0.0


def disturbed_columns(kind: Kind, inputs: Sequence[Column], plan: RobustnessPlan) -> list[str]:
    """The inputs that a kind of disturbance is about."""
    return [one.name for one in inputs if one.name not in plan.fixed and _concerns(kind, one)]


def _concerns(kind: Kind, column: Column) -> bool:
    if kind == "missing":
        return column.nullable
    if kind == "noise":
        return column.polars.is_numeric()
    return column.polars == pl.String() if kind == "unseen" else column.polars != pl.Boolean()


def disturb(
    frame: pl.DataFrame, kind: Kind, columns: Sequence[str], plan: RobustnessPlan, seed: int
) -> pl.DataFrame:
    """Disturb some columns; each as it is disturbed alone, so that a culprit can be singled out."""
    return frame.with_columns(_disturbed(frame[name], kind, plan, seed) for name in columns)


def _disturbed(column: pl.Series, kind: Kind, plan: RobustnessPlan, seed: int) -> pl.Series:
    random = np.random.default_rng([seed, zlib.crc32(f"{kind}/{column.name}".encode())])
    if kind == "noise":
        return _noisy(column, plan.noise, random)
    share = {"missing": plan.missing, "unseen": plan.unseen, "extremes": plan.extremes}[kind]
    chosen = random.random(len(column)) < share
    values: list[Any] = [None] if kind == "missing" else [UNSEEN]
    if kind == "extremes":
        values = _extremes(column.dtype)
    cycle = pl.Series(column.name, [values[n % len(values)] for n in range(len(column))], dtype=column.dtype)
    return cycle.zip_with(pl.Series(chosen), column)


def _noisy(column: pl.Series, sigma: float, random: np.random.Generator) -> pl.Series:
    known = column.cast(pl.Float64)
    known = known.fill_nan(None)
    spread = known.std()
    noise = random.normal(0.0, sigma * spread if isinstance(spread, float) else 0.0, len(column))
    return _fitted(known + pl.Series(noise), column.dtype).alias(column.name)


def _fitted(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """As a column of the type: whole numbers within its range."""
    if dtype.is_integer():
        low, high = integer_range(dtype)
        return values.round().clip(low, high).cast(dtype)
    return values.cast(dtype)


def integer_range(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest value; of 64 bits what a float still holds exactly."""
    found = np.iinfo(str(dtype).lower())
    return max(int(found.min), -(2**53)), min(int(found.max), 2**53)


def _extremes(dtype: pl.DataType) -> list[Any]:
    if dtype.is_integer():
        return list(integer_range(dtype))
    if dtype.is_float():
        return [-_HUGE, _HUGE]
    if dtype == pl.Time():
        return [time.min, time.max]
    if dtype == pl.Date():
        return [date.min, date.max]
    if dtype.is_temporal():
        return [datetime.min, datetime(9999, 12, 31)]
    return ["", _LONG]


def units(inputs: Sequence[Column], plan: RobustnessPlan) -> list[Unit]:
    """The declared units; without any, each factor on each numeric column."""
    if plan.units:
        return [_unit(column, unit) for column, unit in plan.units.items()]
    numeric = [one.name for one in inputs if one.polars.is_numeric() and one.name not in plan.fixed]
    return [_unit(column, factor) for column in numeric for factor in plan.unit_factors]


def _unit(column: str, unit: float | str) -> Unit:
    if isinstance(unit, str):
        return Unit(column, unit, *_TEMPERATURES[unit])
    return Unit(column, f"× {unit:g}", unit)


def in_unit(frame: pl.DataFrame, unit: Unit) -> pl.DataFrame:
    """The column in another unit; a whole number that its type does not hold ends at the type's limit."""
    column = frame[unit.column]
    shifted = column.cast(pl.Float64) * unit.factor + unit.offset
    return frame.with_columns(_fitted(shifted, column.dtype).alias(unit.column))
