"""Scores and features of a window against those that the version was evaluated on.

The same effect sizes, significance and control of false discoveries as for partitions (`ml.data.drift`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from mlcicd_assets.ml.data.drift import FeatureDrift, compare
from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule
from mlcicd_assets.ml.data.profiles import ColumnProfile, profile_column, profile_frame
from mlcicd_assets.ml.data.seasons import Season
from mlcicd_assets.ml.monitoring.declaration import Monitor
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT, SCORE_DRIFT, Signal, unknown
from mlcicd_assets.ml.monitoring.windows import Span

BINS = 20  # of the distributions that are kept for pictures
SCORE, LABEL = "score", "label"


def score_drift(monitor: Monitor, signal: Signal, reference: pl.DataFrame, current: pl.DataFrame) -> Signal:
    """Whether what the version says has changed: its scores, and with many classes its answers.

    Both frames have `score`, and `label` where classes are to be compared. `signal` says whose it is.
    """
    rule = monitor.score_rule
    if rule is None:
        return unknown(signal, "no bound is declared for scores")
    names = [name for name in (SCORE, LABEL) if name in reference.columns and name in current.columns]
    found = compare(
        profile_frame(reference, names),
        profile_frame(current, names),
        dict.fromkeys(names, rule),
        minimum_rows=monitor.minimum_rows,
    )
    signal = replace(signal, name=SCORE_DRIFT, rows=current.height, evidence=_shapes(reference, current))
    return _concluded(signal, found)


def feature_drift(
    monitor: Monitor, signal: Signal, reference: pl.DataFrame, current: pl.DataFrame, span: Span
) -> Signal:
    """Whether what the version is given has changed, feature by feature.

    `reference` has the time of each row as `_time`: a rule `against same weekday` looks at those of the
    window's weekdays only.
    """
    rules = {name: rule for name in current.columns if (rule := monitor.rule_of(name))}
    signal = replace(signal, name=FEATURE_DRIFT, rows=current.height)
    if not rules:
        return unknown(signal, "no bound is declared for features")
    before = _references(reference, rules, span)
    found = compare(before, profile_frame(current, rules), rules, minimum_rows=monitor.minimum_rows)
    return _concluded(signal, found)


def _references(
    reference: pl.DataFrame, rules: Mapping[str, DriftRule], span: Span
) -> dict[str, ColumnProfile]:
    found: dict[str, ColumnProfile] = {}
    seasons: dict[Season | None, pl.DataFrame] = {}
    for name, rule in rules.items():
        season = rule.window.season
        if season not in seasons:
            seasons[season] = in_season(reference, season, span)
        if name in reference.columns:
            found[name] = profile_column(seasons[season][name])
    return found


def in_season(reference: pl.DataFrame, season: Season | None, span: Span) -> pl.DataFrame:
    """The rows of a reference that lie on the window's weekdays, or in its months; all without a season."""
    if season is None:
        return reference
    days = pl.date_range(span.start.date(), span.end.date(), "1d", closed="left", eager=True)
    days = days if len(days) else pl.Series([span.start.date()])
    if season == "weekday":
        return reference.filter(pl.col("_time").dt.weekday().is_in(days.dt.weekday().unique().to_list()))
    return reference.filter(pl.col("_time").dt.month().is_in(days.dt.month().unique().to_list()))


def _concluded(signal: Signal, found: Sequence[FeatureDrift]) -> Signal:
    """The one that moved most, by what is tolerated, speaks for all."""
    judged = [one for one in found if one.outcome in {"stable", "drifted"}]
    drifted = [one for one in judged if one.outcome == "drifted"]
    evidence = {**signal.evidence, "effects": [effect_line(one) for one in found]}
    signal = replace(signal, evidence=evidence)
    if not judged:
        why = "; ".join(dict.fromkeys(f"{one.name}: {one.reason}" for one in found)) or "nothing to compare"
        return unknown(signal, why[:300])
    largest = max(judged, key=_ratio)
    signal = replace(signal, value=largest.size, bound=f"{largest.rule.metric} {largest.rule.bound}")
    if not drifted:
        return replace(signal, state="ok")
    said = ", ".join(f"{one.name} {one.size:.3g}" for one in sorted(drifted, key=_ratio, reverse=True)[:5])
    more = f" and {len(drifted) - 5} more" if len(drifted) > 5 else ""
    of = f"{len(drifted)} of {len(judged)} " if signal.name == FEATURE_DRIFT else ""
    of = f"{of}drifted ({signal.bound})"
    return replace(
        signal,
        state="violated",
        reason=f"{of}: {said}{more}",
    )


def _ratio(one: FeatureDrift) -> float:
    limit = one.rule.bound.limit
    return one.size / limit if limit > 0 else one.size


def effect_line(one: FeatureDrift) -> list[Any]:
    """Name, outcome, effect's name, its size and what is tolerated: JSON values."""
    return [one.name, one.outcome, one.rule.metric, round(one.size, 4), one.rule.bound.limit]


def _shapes(reference: pl.DataFrame, current: pl.DataFrame) -> dict[str, Any]:
    """Both distributions of the score over the same bins, as shares."""
    sides = [frame[SCORE].drop_nulls().cast(pl.Float64) for frame in (reference, current)]
    known = [side for side in sides if len(side)]
    if not known:
        return {}
    low = min(_end(side, 0.005) for side in known)
    high = max(_end(side, 0.995) for side in known)
    if not high > low:
        return {}
    before, after = (_shares(side, low, high) for side in sides)
    return {"scores": {"low": low, "high": high, "reference": before, "window": after}}


def _end(side: pl.Series, share: float) -> float:
    return float(side.quantile(share) or 0.0)


def _shares(side: pl.Series, low: float, high: float) -> list[float]:
    place = ((side - low) / (high - low) * BINS).clip(0, BINS - 1).cast(pl.Int64)
    counted = dict(place.alias("bin").value_counts().iter_rows())
    return [round(counted.get(bin_, 0) / max(len(side), 1), 5) for bin_ in range(BINS)]


def thinned(frame: pl.DataFrame, at_most: int) -> pl.DataFrame:
    """Every so-manieth row, so that no more than `at_most` are left."""
    step = -(-frame.height // at_most)
    return frame.gather_every(step) if step > 1 else frame


def drifted_names(signals: Iterable[Signal]) -> list[str]:
    """The features that drifted in these signals."""
    lines = (line for one in signals for line in one.evidence.get("effects", []))
    return sorted({str(line[0]) for line in lines if line[1] == "drifted"})
