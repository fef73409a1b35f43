"""A slice of the records as people write it: `carrier=AA`, `distance>=1000 & origin=JFK`, `temp is missing`.

A column name alone, `carrier`, means a slice for each of its values.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl  # declarations are read without it

_CONDITION = re.compile(r"^\s*([A-Za-z_]\w*)\s*(!=|<=|>=|=|<|>)\s*(\S.*?)\s*$")
_MISSING = re.compile(r"^\s*([A-Za-z_]\w*)\s+is\s+missing\s*$")
_COLUMN = re.compile(r"^\s*([A-Za-z_]\w*)\s*$")
_AND = re.compile(r"\s+&\s+")
_GATE = re.compile(r"^([a-z]\w*)\[(.+)\]$")


class SliceError(ValueError):
    """A slice that cannot be read or taken; says what it is and what is expected."""


@dataclass(frozen=True)
class Condition:
    """One comparison of a raw column with a value; `value` None: the column is missing."""

    column: str
    sign: str
    value: str | None

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Read `carrier=AA`, `distance >= 1000` or `temp is missing`; raises SliceError."""
        if found := _MISSING.match(text):
            return cls(found[1], "=", None)
        if found := _CONDITION.match(text):
            return cls(found[1], found[2], found[3])
        raise SliceError(
            "a condition reads like 'carrier=AA', 'distance>=1000' or 'temp is missing', "
            f"not {text.strip()!r}"
        )

    def __str__(self) -> str:
        return f"{self.column} is missing" if self.value is None else f"{self.column}{self.sign}{self.value}"

    def expression(self, schema: "pl.Schema") -> "pl.Expr":
        """Which rows satisfy it, never null; raises SliceError where the column or its type does not fit."""
        import polars as pl

        if self.column not in schema:
            raise SliceError(f"there is no column {self.column!r}; there are: {', '.join(schema)}")
        column, dtype = pl.col(self.column), schema[self.column]
        if self.value is None:
            missing = column.is_null()
            return missing | column.is_nan().fill_null(value=True) if dtype.is_float() else missing
        if dtype.is_numeric():
            return self._compared(column, pl.lit(self._number(self.value)))
        if self.sign not in {"=", "!="}:
            raise SliceError(f"{self}: {self.column} is {dtype}, and only numbers are more or less")
        return self._compared(column.cast(pl.String), pl.lit(self.value))

    def _number(self, text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise SliceError(f"{self}: {self.column} is a number, and {text!r} is none") from None

    def _compared(self, column: "pl.Expr", value: "pl.Expr") -> "pl.Expr":
        found = {
            "=": column == value,
            "!=": column != value,
            "<": column < value,
            "<=": column <= value,
            ">": column > value,
            ">=": column >= value,
        }[self.sign]
        return found.fill_null(value=False)


@dataclass(frozen=True)
class Slice:
    """Rows that satisfy all conditions; or, by a column's name alone, one slice for each of its values."""

    conditions: tuple[Condition, ...] = ()
    column: str = ""

    @classmethod
    def parse(cls, text: str) -> "Slice":
        """Read `carrier`, `carrier=AA` or `carrier=AA & origin=JFK`; raises SliceError."""
        if found := _COLUMN.match(text):
            return cls(column=found[1])
        return cls(tuple(Condition.parse(part) for part in _AND.split(text)))

    def __str__(self) -> str:
        return self.column or " & ".join(str(condition) for condition in self.conditions)

    def rows(self, records: "pl.DataFrame") -> "pl.Series":
        """Which records are in it; raises SliceError."""
        import polars as pl

        expressions = [condition.expression(records.schema) for condition in self.conditions]
        return records.select(inside=pl.all_horizontal(expressions)).to_series()


@dataclass(frozen=True)
class SliceGate:
    """A gate on a metric of a slice: `recall[carrier=AA]`; `recall[carrier]` is the worst of its values."""

    metric: str
    slice: Slice

    @classmethod
    def parse(cls, name: str) -> "SliceGate | None":
        """Read a gate's name; None where it is not about a slice. Raises SliceError."""
        found = _GATE.match(name)
        return cls(found[1], Slice.parse(found[2])) if found else None


def slice_gates(names: Iterable[str]) -> dict[str, SliceGate]:
    """Those gates that are about slices; raises SliceError."""
    parsed = {name: SliceGate.parse(name) for name in names}
    return {name: gate for name, gate in parsed.items() if gate is not None}
