"""Has a distribution changed? Effect sizes between profiles, a proper test, and what counts as drift.

With many rows every test rejects, with few every effect is noise. So a feature drifts only when its effect
exceeds the declared bound AND the difference is significant after Benjamini and Hochberg's control of the
false discovery rate over all features; and too few rows are an outcome of their own. The same functions
compare features, labels, and predictions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule
from mlcicd_assets.ml.data.profiles import ColumnProfile, Floats, profile_frame

BINS = 10
_OFTEN = 0.01  # the share of one value from which it is a point mass
MINIMUM_ROWS = 200
FALSE_DISCOVERIES = 0.05
Outcome = Literal["stable", "drifted", "cold start", "not enough evidence"]


@dataclass(frozen=True)
class Effect:
    """How far a column moved. Every size is 0 when nothing did.

    `psi`: population stability index over the reference's tenths, or its categories, and the missing values
    (natural logarithm; half a row is added to each bin). `js`: Jensen-Shannon distance over the same bins, in
    bits, 0 to 1. `wasserstein`: first Wasserstein distance over the reference's standard deviation, without
    the outermost 0.5 % at each end; total variation for text. `ks`: largest difference of the distribution
    functions, 0 to 1, at 200 quantiles of each side; total variation for text; never less than the change in
    the share of missing values.
    `p`: chi-square test of homogeneity over the bins (Pearson, 1900).
    """

    psi: float
    js: float
    wasserstein: float
    ks: float
    p: float


@dataclass(frozen=True)
class FeatureDrift:
    """One feature's effect, its significance and what follows; no `effect` where nothing was compared."""

    name: str
    outcome: Outcome
    rule: DriftRule
    effect: Effect | None = None
    significant: bool = False
    reason: str = ""

    @property
    def size(self) -> float:
        """The effect that the rule speaks of; 0 where nothing was compared."""
        return float(getattr(self.effect, self.rule.metric)) if self.effect else 0.0


def measure(reference: ColumnProfile, current: ColumnProfile) -> Effect:
    """The effect sizes from the reference to the current profile of one column, and their p-value."""
    if reference.kind == "numeric":
        before, after = _number_bins(reference, current)
        moved, ks = _wasserstein(reference, current), _kolmogorov(reference, current)
    else:
        before, after = _category_bins(reference, current)
        moved = ks = _total_variation(before, after)
    return Effect(_psi(before, after), _jensen_shannon(before, after), moved, ks, _chi_square(before, after))


def compare(
    reference: Mapping[str, ColumnProfile],
    current: Mapping[str, ColumnProfile],
    rules: Mapping[str, DriftRule],
    *,
    minimum_rows: int = MINIMUM_ROWS,
    false_discoveries: float = FALSE_DISCOVERIES,
) -> list[FeatureDrift]:
    """Judge each column that has a rule, those that drifted first, then by size.

    A column that is in `current` only has no reference yet: a cold start. Columns that went are schema drift.
    """
    results: dict[str, FeatureDrift] = {}
    for name, rule in rules.items():
        if name in current and current[name].kind != "other":
            results[name] = _measured(reference.get(name), current[name], rule, minimum_rows)
    p_values = {name: result.effect.p for name, result in results.items() if result.effect}
    rejected = discoveries(list(p_values.values()), false_discoveries)
    for name in (name for name, one in zip(p_values, rejected, strict=True) if one):
        beyond = not results[name].rule.bound.admits(results[name].size)
        outcome: Outcome = "drifted" if beyond else "stable"
        results[name] = replace(results[name], significant=True, outcome=outcome)
    return sorted(
        results.values(), key=lambda result: (result.outcome != "drifted", -result.size, result.name)
    )


def compare_frames(reference: pl.DataFrame, current: pl.DataFrame, rule: DriftRule) -> list[FeatureDrift]:
    """The same for two frames: features, labels, or predictions."""
    return compare(profile_frame(reference), profile_frame(current), dict.fromkeys(current.columns, rule))


def _measured(
    before: ColumnProfile | None, after: ColumnProfile, rule: DriftRule, minimum: int
) -> FeatureDrift:
    if before is None:
        reason = f"no earlier partitions ({rule.window}) to compare with"
        return FeatureDrift(after.name, "cold start", rule, reason=reason)
    if problem := _insufficient(before, after, minimum):
        return FeatureDrift(after.name, "not enough evidence", rule, reason=problem)
    return FeatureDrift(after.name, "stable", rule, measure(before, after))


def discoveries(p_values: Sequence[float], rate: float = FALSE_DISCOVERIES) -> list[bool]:
    """Which hypotheses Benjamini and Hochberg (1995) reject at this false discovery rate."""
    count = len(p_values)
    if not count:
        return []
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    kept = np.flatnonzero(p[order] <= rate * np.arange(1, count + 1) / count)
    rejected = np.zeros(count, dtype=bool)
    if len(kept):
        rejected[order[: kept[-1] + 1]] = True
    return [bool(one) for one in rejected]


def _insufficient(before: ColumnProfile, after: ColumnProfile, minimum: int) -> str:
    if before.kind != after.kind:
        return f"was {before.dtype}, is {after.dtype}"
    for side, profile in (("reference", before), ("partition", after)):
        if profile.rows < minimum:
            return f"{profile.rows} rows in the {side}; {minimum} are needed"
    return ""


def _number_bins(reference: ColumnProfile, current: ColumnProfile) -> tuple[Floats, Floats]:
    """Counts between the reference's deciles, then the missing ones."""
    edges = _deciles(reference)
    return _binned(reference, edges), _binned(current, edges)


def _deciles(reference: ColumnProfile) -> Floats:
    edges, total = np.asarray(reference.values, dtype=float), np.cumsum(reference.counts)
    if not len(edges):
        return np.zeros(0)
    wanted = np.arange(1, BINS) / BINS * reference.present
    places = np.searchsorted(total, wanted - 1e-9 * reference.present)
    inner = edges[np.unique(np.minimum(places, len(edges) - 1))]
    inner = inner[inner < edges[-1]]
    # Many values at one end (a zero, a constant): what lies beyond that end is a bin of its own.
    often = _OFTEN * reference.present
    first = [np.nextafter(edges[0], -np.inf)] if reference.at[0] >= often else []
    last = [edges[-1]] if reference.at[-1] >= often else []
    return np.unique(np.concatenate([first, inner, last]))


def _binned(profile: ColumnProfile, edges: Floats) -> Floats:
    upto = profile.cdf(edges) * profile.present if len(edges) else np.zeros(0)
    counts = np.diff(np.concatenate([[0.0], upto, [profile.present]]))
    return np.concatenate([np.maximum(counts, 0.0), [profile.missing]])


def _category_bins(reference: ColumnProfile, current: ColumnProfile) -> tuple[Floats, Floats]:
    """Counts of the reference's categories, of all others together, and of the missing."""
    known = dict(zip(current.values, current.counts, strict=True))
    after = [known.get(name, 0.0) for name in reference.values]
    others = current.present - sum(after)
    return (
        np.array([*reference.counts, reference.rest, reference.missing], dtype=float),
        np.array([*after, others, current.missing], dtype=float),
    )


def _shares(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    used = (before + after) > 0
    a, b = before[used] + 0.5, after[used] + 0.5
    return a / a.sum(), b / b.sum()


def _psi(before: Floats, after: Floats) -> float:
    a, b = _shares(before, after)
    return float(max(((b - a) * np.log(b / a)).sum(), 0.0))


def _jensen_shannon(before: Floats, after: Floats) -> float:
    """The distance of Endres and Schindelin (2003), base 2."""
    a, b = (counts / max(counts.sum(), 1e-300) for counts in (before, after))
    middle = (a + b) / 2
    divergence = sum(
        (side[side > 0] * np.log2(side[side > 0] / middle[side > 0])).sum() / 2 for side in (a, b)
    )
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def _total_variation(before: Floats, after: Floats) -> float:
    return float(np.abs(before / max(before.sum(), 1) - after / max(after.sum(), 1)).sum() / 2)


def _chi_square(before: Floats, after: Floats) -> float:
    from scipy.special import chdtrc  # type: ignore[import-untyped,unused-ignore]

    used = (before + after) > 0
    table = np.vstack([before[used], after[used]])
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / max(table.sum(), 1)
    # Where little is expected, bins are taken together: else the statistic has another distribution.
    sparse = expected.min(axis=0) < 1
    if sparse.any():
        table = np.column_stack([table[:, ~sparse], table[:, sparse].sum(axis=1)])
        expected = np.column_stack([expected[:, ~sparse], expected[:, sparse].sum(axis=1)])
    if table.shape[1] < 2:
        return 1.0
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chdtrc(table.shape[1] - 1, statistic))


def _knots(reference: ColumnProfile, current: ColumnProfile) -> Floats:
    lows = [profile.lowest for profile in (reference, current) if profile.lowest is not None]
    return np.unique(np.concatenate([lows, reference.values, current.values]).astype(float))


def _kolmogorov(reference: ColumnProfile, current: ColumnProfile) -> float:
    missing = abs(reference.missing_share - current.missing_share)
    knots = _knots(reference, current)
    if not (reference.present and current.present):
        return missing
    return max(missing, float(np.abs(reference.cdf(knots) - current.cdf(knots)).max()))


def _wasserstein(reference: ColumnProfile, current: ColumnProfile) -> float:
    if not (reference.present and current.present):
        return 0.0 if reference.present == current.present else float("inf")
    knots = _knots(reference, current)
    ranges = [_core(profile) for profile in (reference, current)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    knots = knots[(knots >= low) & (knots <= high)]
    if len(knots) < 2:
        return 0.0
    apart = np.abs(reference.cdf(knots) - current.cdf(knots))
    before = np.abs(_left(reference, knots) - _left(current, knots))  # just below a knot with a jump
    moved = float((np.diff(knots) * (apart[:-1] + before[1:]) / 2).sum())
    scale = reference.std or abs(reference.mean or 0.0) or 1.0
    return moved / scale


def _core(profile: ColumnProfile) -> tuple[float, float]:
    """Without the outermost 0.5 % at each end, whose length is chance; a point mass there stays."""
    edges = [float(edge) for edge in profile.values]
    massive = len(edges) == 1 or profile.at[-1] * 2 >= profile.counts[-1]
    return edges[0], edges[-1] if massive else edges[-2]


def _left(profile: ColumnProfile, knots: Floats) -> Floats:
    return profile.cdf(knots) - profile.equal_to(knots) / profile.present
