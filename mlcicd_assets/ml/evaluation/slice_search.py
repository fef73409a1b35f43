"""Finding the slices on which a model loses more than elsewhere, without being told where to look.

After SliceFinder (Chung et al., "Slice Finder: Automated Data Slicing for Model Validation", 2019): every
slice of one column, or of two, is compared with the rest of the rows by the effect size of the loss per row
(the difference of means over the pooled standard deviation) and a one-sided Welch test; Benjamini and
Hochberg's procedure holds the share of chance findings. A pair is kept where it is clearly worse than each of
its parts.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Self

import numpy as np
import polars as pl

from mlcicd_assets.ml.data.drift import discoveries
from mlcicd_assets.ml.evaluation.plans import SlicePlan
from mlcicd_assets.ml.evaluation.slice_conditions import Condition, Slice

# A number with more values than this is cut into bins of equal size.
MAX_VALUES = 12
BINS = 5
# Beyond this many columns the pairs cost more than they tell: those whose single slices differ most are kept.
MAX_PAIRED = 30

# What one column says of a row: `carrier=AA`, or `distance>=500` with `distance<900`.
Part = tuple[Condition, ...]


@dataclass(frozen=True)
class FoundSlice:
    """A slice whose rows lose more than the rest, and by how much."""

    parts: tuple[Part, ...]
    rows: int
    loss: float  # mean over its rows
    rest: float  # mean over the others
    effect: float
    error: float  # standard error of the difference of both means
    p_value: float

    @property
    def slice(self) -> Slice:
        """As it can be declared."""
        return Slice(tuple(condition for part in self.parts for condition in part))


@dataclass(frozen=True)
class Search:
    """The slices found, worst first, and how many were looked at."""

    found: list[FoundSlice]
    tested: int


@dataclass(frozen=True)
class _Coded:
    """Columns as codes 1 … K; 0 where a row is in none of the slices, whose meaning is ()."""

    codes: np.ndarray
    meanings: list[tuple[Part, ...]]


@dataclass(frozen=True)
class _Losses:
    """Losses per row in their own order, around their mean, and their squares."""

    centre: float
    centred: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, ordered: np.ndarray) -> Self:
        """Of sorted losses: sums do then not show the order of rows in their last digit."""
        centre = float(ordered.mean())
        centred = ordered - centre
        return cls(centre, centred, centred**2)


def find_slices(table: pl.DataFrame, losses: np.ndarray, plan: SlicePlan) -> Search:
    """Look through all slices of `table`'s columns; `losses` belong to its rows. Row order is immaterial."""
    order = np.argsort(losses, kind="stable")
    ordered = _Losses.of(losses[order].astype(np.float64))
    coded = [one for column in table.get_columns() if (one := _code(column, order, plan.minimum)).meanings]
    singles = [_tested(one, ordered, plan.minimum) for one in coded]
    tested = [one for group in singles for one in group]
    alone = {one.parts[0]: one.effect for one in tested}
    if plan.pairs:
        for first, second in combinations(_paired(singles), 2):
            tested += _tested(_crossed(coded[first], coded[second]), ordered, plan.minimum)
    return Search(_worst(tested, alone, plan), len(tested))


def _paired(singles: list[list[FoundSlice]]) -> list[int]:
    strength = [max((one.effect for one in group), default=-math.inf) for group in singles]
    by_strength = sorted(range(len(singles)), key=lambda column: -strength[column])
    return sorted(by_strength[:MAX_PAIRED])


def _worst(tested: list[FoundSlice], alone: dict[Part, float], plan: SlicePlan) -> list[FoundSlice]:
    rejected = discoveries([one.p_value for one in tested], plan.false_discoveries)
    found = [
        one
        for one, finding in zip(tested, rejected, strict=True)
        if finding and one.effect >= plan.effect and _adds(one, alone, plan)
    ]
    return sorted(found, key=lambda one: (-one.effect, str(one.slice)))[: plan.shown]


def _adds(one: FoundSlice, alone: dict[Part, float], plan: SlicePlan) -> bool:
    if len(one.parts) == 1:
        return True
    return one.effect >= max(alone.get(part, 0.0) for part in one.parts) + plan.effect / 2


def _tested(coded: _Coded, losses: _Losses, minimum: int) -> list[FoundSlice]:
    """Every slice that has rows enough, and leaves rows enough, against the rest."""
    from scipy.special import stdtr  # type: ignore[import-untyped,unused-ignore]

    kinds, size = len(coded.meanings), len(coded.codes)
    sizes = np.bincount(coded.codes, minlength=kinds)
    big = np.flatnonzero((sizes >= minimum) & (size - sizes >= minimum))
    chosen = big[[bool(coded.meanings[kind]) for kind in big]]
    if not len(chosen):
        return []
    rows = sizes[chosen].astype(np.float64)
    others = size - rows
    sums = np.bincount(coded.codes, losses.centred, kinds)[chosen]
    squares = np.bincount(coded.codes, losses.squares, kinds)[chosen]
    mean, variance = _moments(rows, sums, squares)
    rest, rest_variance = _moments(others, losses.centred.sum() - sums, losses.squares.sum() - squares)
    mine, theirs = variance / rows, rest_variance / others
    error = np.sqrt(mine + theirs)
    with np.errstate(divide="ignore", invalid="ignore"):
        effects = np.nan_to_num((mean - rest) / np.sqrt((variance + rest_variance) / 2))
        freedom = (mine + theirs) ** 2 / (mine**2 / (rows - 1) + theirs**2 / (others - 1))
        p_values = np.nan_to_num(stdtr(freedom, (rest - mean) / error), nan=1.0)
    table = np.stack([mean + losses.centre, rest + losses.centre, effects, error, p_values], axis=1)
    return [
        FoundSlice(coded.meanings[kind], int(sizes[kind]), *numbers)
        for kind, numbers in zip(chosen, table.tolist(), strict=True)
    ]


def _moments(rows: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = sums / rows
    return mean, np.maximum(squares / rows - mean**2, 0.0) * rows / (rows - 1)


def _crossed(one: _Coded, other: _Coded) -> _Coded:
    meanings = [
        first + second if first and second else () for first in one.meanings for second in other.meanings
    ]
    return _Coded(one.codes * len(other.meanings) + other.codes, meanings)


def _code(column: pl.Series, order: np.ndarray, minimum: int) -> _Coded:
    column = column.fill_nan(None) if column.dtype.is_float() else column
    if column.dtype.is_numeric() and column.n_unique() > MAX_VALUES:
        codes, parts = _bins(column)
    elif column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum):
        codes, parts = _categories(column, minimum)
    else:  # times: their parts are features
        return _Coded(np.zeros(len(column), dtype=np.int64), [])
    if column.null_count() >= minimum:
        parts = [*parts, (Condition(column.name, "=", None),)]
        codes = np.where(column.is_null().to_numpy(), len(parts), codes)
    return _Coded(codes[order], [(), *((part,) for part in parts)])


def _categories(column: pl.Series, minimum: int) -> tuple[np.ndarray, list[Part]]:
    whole = (
        column.dtype.is_float() and (column.drop_nulls().is_finite() & (column.drop_nulls() % 1 == 0)).all()
    )
    texts = (column.cast(pl.Int64) if whole else column).cast(pl.String)  # 2, not 2.0
    frequent = texts.value_counts(name="rows").drop_nulls().filter(pl.col("rows") >= minimum)
    names = frequent[column.name].sort().to_list()
    known = {name: code for code, name in enumerate(names, start=1)}
    codes = texts.replace_strict(known, default=0, return_dtype=pl.Int64).fill_null(0)
    return codes.to_numpy(), [(Condition(column.name, "=", name),) for name in names]


def _bins(column: pl.Series) -> tuple[np.ndarray, list[Part]]:
    """Bins of about equal size, cut at values that are there."""
    values = column.cast(pl.Float64).to_numpy()
    known = values[np.isfinite(values)]
    cuts = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="higher")
    # As they will be shown, so that what is shown selects exactly these rows.
    edges = np.unique([float(f"{cut:.6g}") for cut in cuts])
    codes = np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right") + 1)
    return codes, list(_between(column.name, [f"{edge:.6g}" for edge in edges]))


def _between(name: str, edges: list[str]) -> Iterator[Part]:
    for low, high in zip([None, *edges], [*edges, None], strict=True):
        parts = [Condition(name, ">=", low)] if low is not None else []
        yield (*parts, *([Condition(name, "<", high)] if high is not None else []))
