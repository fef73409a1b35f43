"""A column's distribution as a small, mergeable, JSON-serialisable profile: edges and counts.

Numbers are kept at about 200 quantiles of their own: with each edge stands how many values lie in
(previous edge, edge], and how many of those equal the edge, so that a value that occurs often (an hour, a
weekday, a zero) is never smeared over its neighbours. Text keeps its most frequent values. Nulls, NaN and
infinities are counted as missing. Profiles of partitions add up to the profile of their union: exactly at
shared edges, else by interpolation within a bin, that is within 0.5 % of one partition's rows.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

EDGES = 200
CATEGORIES = 200  # kept by name; what is rarer is counted together
Kind = Literal["numeric", "categorical", "other"]
Floats = np.ndarray


class ProfileError(ValueError):
    """A profile that cannot be read or added; names the column and the remedy."""


@dataclass(frozen=True)
class ColumnProfile:
    """One column of one or several partitions."""

    name: str
    dtype: str  # as polars names it
    kind: Kind
    rows: int
    missing: float = 0
    values: tuple[float, ...] | tuple[str, ...] = ()  # ascending edges, or categories by name
    counts: tuple[float, ...] = ()  # values in (previous edge, edge]; or of each category
    at: tuple[float, ...] = ()  # numeric: of `counts`, those that equal the edge
    rest: float = 0  # categorical: values of the categories that are not kept
    lowest: float | None = None
    mean: float | None = None
    std: float | None = None

    @property
    def present(self) -> float:
        """How many values are not missing."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Between 0 and 1; 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0

    def cdf(self, points: Floats) -> Floats:
        """The share of present values that are at most each point."""
        if not self.present:
            return np.zeros(len(points))
        edges, counts, at = (np.asarray(x, dtype=float) for x in (self.values, self.counts, self.at))
        total = np.cumsum(counts)
        index = np.searchsorted(edges, points, side="left")
        inside = np.minimum(index, len(edges) - 1)
        previous = np.concatenate([[self.lowest], edges[:-1]])[inside]
        below = np.concatenate([[0.0], total[:-1]])[inside]
        width = edges[inside] - previous
        way = np.divide(points - previous, width, out=np.zeros(len(points)), where=width > 0)
        between = below + np.clip(way, 0, 1) * (counts[inside] - at[inside])
        reached = np.where(points >= edges[inside], total[inside], between)
        return np.where(points < (self.lowest or 0.0), 0.0, reached) / self.present

    def equal_to(self, points: Floats) -> Floats:
        """How many values equal each point, where a point is an edge; 0 elsewhere."""
        edges, at = np.asarray(self.values, dtype=float), np.asarray(self.at, dtype=float)
        if not len(edges):
            return np.zeros(len(points))
        index = np.minimum(np.searchsorted(edges, points), len(edges) - 1)
        return np.where(edges[index] == points, at[index], 0.0)

    def to_json(self) -> str:
        """Compact JSON."""
        return json.dumps(asdict(self), separators=(",", ":"), default=float)

    @classmethod
    def from_json(cls, text: str) -> "ColumnProfile":
        """Read what `to_json` wrote; raises ProfileError."""
        try:
            fields = json.loads(text)
            lists = {name: tuple(fields[name]) for name in ("values", "counts", "at")}
            return cls(**{**fields, **lists})
        except (ValueError, TypeError, KeyError) as error:
            raise ProfileError(
                f"a stored profile cannot be read ({error}); materialize its partition again"
            ) from error


def profile_frame(frame: pl.DataFrame, columns: Iterable[str] | None = None) -> dict[str, ColumnProfile]:
    """The profile of each column, by name, in one pass over each column."""
    return {name: profile_column(frame[name]) for name in (frame.columns if columns is None else columns)}


def profile_column(column: pl.Series) -> ColumnProfile:
    """The profile of one column; columns that are neither number nor text keep only what is missing."""
    kind = kind_of(column.dtype)
    base = ColumnProfile(column.name, str(column.dtype), kind, len(column), column.null_count())
    if kind == "numeric":
        return _numeric(base, column)
    if kind == "categorical":
        return _categorical(base, column)
    return base


def kind_of(dtype: pl.DataType) -> Kind:
    """How a column of this type is compared."""
    if dtype.is_numeric():
        return "numeric"
    return "categorical" if dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) else "other"


def _numeric(base: ColumnProfile, column: pl.Series) -> ColumnProfile:
    numbers = column.cast(pl.Float64) if column.dtype.is_decimal() else column
    values = numbers.drop_nulls().to_numpy()
    if numbers.dtype.is_float():
        finite = np.isfinite(values)
        values = values if finite.all() else values[finite]
    if not len(values):
        return replace(base, missing=base.rows)
    # NumPy sorts with the processor's vector instructions: several times faster than quantile by quantile.
    ordered = np.sort(values)
    places = np.unique(np.ceil(np.linspace(0, 1, EDGES + 1)[1:] * len(ordered)).astype(np.int64) - 1)
    edges = np.unique(ordered[places])
    upto, before = np.searchsorted(ordered, edges, "right"), np.searchsorted(ordered, edges, "left")
    wide = ordered.astype(np.float64, copy=False)
    return replace(
        base,
        missing=base.rows - len(ordered),
        values=tuple(edges.astype(np.float64).tolist()),
        counts=tuple(np.diff(upto, prepend=0).tolist()),
        at=tuple((upto - before).tolist()),
        lowest=float(ordered[0]),
        mean=float(wide.mean()),
        std=float(wide.std()),
    )


def _categorical(base: ColumnProfile, column: pl.Series) -> ColumnProfile:
    counted = column.drop_nulls().value_counts(name="count")
    names = counted[column.name].cast(pl.String).to_list()
    return _kept(base, dict(zip(names, counted["count"].to_list(), strict=True)))


def _kept(base: ColumnProfile, counted: Mapping[str, float], rest: float = 0) -> ColumnProfile:
    """The most frequent categories by name; ties go by name, so that the order of rows never counts."""
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    kept = sorted(ranked[:CATEGORIES])
    return replace(
        base,
        values=tuple(name for name, _ in kept),
        counts=tuple(count for _, count in kept),
        rest=rest + sum(count for _, count in ranked[CATEGORIES:]),
    )


def merge(profiles: Iterable[ColumnProfile]) -> ColumnProfile:
    """The profile of all partitions together; raises ProfileError when the kinds differ."""
    parts = list(profiles)
    if not parts:
        raise ProfileError("there is no profile to merge")
    kinds = {part.kind for part in parts}
    if len(kinds) > 1:
        raise ProfileError(
            f"column {parts[0].name!r} is {' and '.join(sorted(kinds))} in different partitions: "
            "materialize the partitions again with one type"
        )
    rows, missing = sum(part.rows for part in parts), sum(part.missing for part in parts)
    base = ColumnProfile(parts[-1].name, parts[-1].dtype, parts[-1].kind, rows, missing)
    if base.kind == "numeric":
        return _merged_numbers(base, [part for part in parts if part.present])
    if base.kind == "categorical":
        counted: dict[str, float] = {}
        for part in parts:
            for name, count in zip(part.values, part.counts, strict=True):
                counted[str(name)] = counted.get(str(name), 0) + count
        return _kept(base, counted, sum(part.rest for part in parts))
    return base


def _merged_numbers(base: ColumnProfile, parts: list[ColumnProfile]) -> ColumnProfile:
    if not parts:
        return base
    if len(parts) == 1:
        return replace(parts[0], rows=base.rows, missing=base.missing)
    knots = _knots(parts)
    upto = np.sum([part.cdf(knots) * part.present for part in parts], axis=0)
    at = np.sum([part.equal_to(knots) for part in parts], axis=0)
    sizes = np.array([part.present for part in parts])
    means = np.array([part.mean for part in parts], dtype=float)
    squares = np.array([part.std for part in parts], dtype=float) ** 2 + means**2
    mean = float(np.average(means, weights=sizes))
    return replace(
        base,
        values=tuple(knots.tolist()),
        counts=tuple(np.diff(upto, prepend=0.0).tolist()),
        at=tuple(at.tolist()),
        lowest=min(part.lowest for part in parts if part.lowest is not None),
        mean=mean,
        std=float(np.sqrt(max(np.average(squares, weights=sizes) - mean**2, 0.0))),
    )


def _knots(parts: list[ColumnProfile]) -> Floats:
    """Edges for the union: all when they are few, else those nearest above each quantile, and the last.

    Every edge stands for its bin's rows, so a value that occurs often is met by a quantile and stays an edge.
    """
    edges = np.concatenate([np.asarray(part.values, dtype=float) for part in parts])
    knots, where = np.unique(edges, return_inverse=True)
    if len(knots) <= EDGES:
        return knots
    counts = np.concatenate([np.asarray(part.counts, dtype=float) for part in parts])
    upto = np.cumsum(np.bincount(where, weights=counts))
    wanted = np.linspace(0, 1, EDGES + 1)[1:] * upto[-1] * (1 - 1e-12)
    chosen: Floats = knots[np.unique(np.minimum(np.searchsorted(upto, wanted), len(knots) - 1))]
    return chosen
