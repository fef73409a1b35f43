"""Leakage: a feature that knows the label, and holdout rows that were learned from.

A feature is suspected when it alone ranks the label almost perfectly: by its numbers, up or down; or by any
mapping. For the latter its values (numbers in 50 bins of equal size, null a bin of its own) are replaced by
the share of positives that every second row shows, and the area under the ROC curve is taken on the other
rows, so that a feature with many values gains nothing by chance. The principle is that of Kaufman et al.,
"Leakage in Data Mining" (2012): what predicts too well is looked at by a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

SUSPICIOUS_AUC = 0.995
MIN_ROWS = 200  # labelled; fewer are no evidence
MIN_OF_EACH_CLASS = 20
SAMPLED = 50_000
_BINS = 50
# Rows alike by chance are alike within the training window too; a holdout that was learned from stands out.
_CHANCE = 3.0
_SHARED = 0.01
_MIN_HOLDOUT = 100


@dataclass(frozen=True)
class Leak:
    """One finding."""

    rule: str
    column: str | None
    value: float  # the area under the curve, or how many rows or which share
    message: str


@dataclass(frozen=True)
class Findings:
    """What was looked at, and what was found; `missing` says why too little was there to judge."""

    leaks: list[Leak]
    rows: int
    missing: str = ""


def known_after_event(features: Sequence[str], hidden: Sequence[str]) -> list[Leak]:
    """Features that carry the name of a column which is known only after the event."""
    return [
        Leak(
            "known_after_event",
            name,
            1.0,
            f"feature {name!r} has the name of a column that is known only after the event: "
            "leave it out of the features function, or give another quantity another name",
        )
        for name in features
        if name in hidden
    ]


def label_leaks(rows: pl.DataFrame, features: Sequence[str], label: str, allowed: Sequence[str]) -> Findings:
    """The features that decide the label alone; `allowed` were looked at by a person."""
    known = rows.filter(pl.col(label).is_not_null())
    positives = int(known[label].sum() or 0)
    fewest = min(positives, known.height - positives)
    if known.height < MIN_ROWS or fewest < MIN_OF_EACH_CLASS:
        said = f"{known.height} labelled rows with {fewest} of the rarer class; {MIN_ROWS} and "
        return Findings([], known.height, f"{said}{MIN_OF_EACH_CLASS} are needed to judge")
    sample = _sampled(known, label)
    found = []
    for name in features:
        if name in allowed:
            continue
        area = max(_mapped_auc(sample, name, label), _ordered_auc(sample[name], sample[label]))
        if area >= SUSPICIOUS_AUC:
            found.append(Leak("decides_the_label", name, area, _decides(name, area)))
    return Findings(found, sample.height)


def _decides(name: str, area: float) -> str:
    return (
        f"feature {name!r} alone ranks the label with an area under the curve of {area:.4f}: it is probably "
        "a function of the label; leave it out, or list it under 'not_leaking' when it may know that much"
    )


def _sampled(known: pl.DataFrame, label: str) -> pl.DataFrame:
    """At most SAMPLED rows, evenly taken from each class, so that rare positives stay rare but are there."""
    every = max(1, known.height // SAMPLED)
    if every == 1:
        return known
    return pl.concat(part.gather_every(every) for part in known.partition_by(label, maintain_order=True))


def _ordered_auc(values: pl.Series, labels: pl.Series) -> float:
    """By the numbers themselves, up or down, null below or above all."""
    if not values.dtype.is_numeric():
        return 0.5
    ranks = (values.fill_nan(None) if values.dtype.is_float() else values).rank("average")
    ends = [0.0, ranks.len() + 1.0] if ranks.null_count() else [0.0]
    areas = [auc(ranks.fill_null(end), labels) for end in ends]
    return max(max(area, 1 - area) for area in areas)


def _mapped_auc(rows: pl.DataFrame, name: str, label: str) -> float:
    values = rows.select(_binned(rows[name]).alias("bin"), pl.col(label).cast(pl.Float64).alias("label"))
    # Each class is halved, so that both halves have positives.
    halves = values.with_columns(pl.int_range(pl.len()).over("label").mod(2).alias("half"))
    learned = halves.filter(pl.col("half") == 0)
    rates = learned.group_by("bin").agg(pl.col("label").mean().alias("rate"))
    judged = halves.filter(pl.col("half") == 1).join(rates, on="bin", how="left", nulls_equal=True)
    scores = judged["rate"].fill_null(learned["label"].mean())
    return auc(scores, judged["label"])


def _binned(values: pl.Series) -> pl.Series:
    if not values.dtype.is_numeric() or values.n_unique() <= _BINS:
        return values
    known = values.fill_nan(None) if values.dtype.is_float() else values
    return (known.rank("average") * _BINS / (known.len() - known.null_count() + 1)).floor()


def auc(scores: pl.Series, labels: pl.Series) -> float:
    """Area under the ROC curve by ranks (Mann and Whitney), ties counting half."""
    ranks = scores.rank("average")
    positives = int(labels.sum())
    negatives = labels.len() - positives
    if not positives or not negatives:
        return 0.5
    above = float(ranks.filter(labels == 1).sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def shared_rows(
    train: pl.DataFrame, holdout: pl.DataFrame, keys: Sequence[str], content: Sequence[str]
) -> Findings:
    """Holdout rows that were learned from: by their keys, and by what they say (`content` columns)."""
    found = []
    same = holdout.join(train, on=list(keys), how="semi", nulls_equal=True).height if keys else 0
    if same:
        named = ", ".join(key.removeprefix("_") for key in keys)
        said = f"{same:,} of {holdout.height:,} holdout rows have the keys ({named}) of a training row"
        found.append(
            Leak("same_keys", None, same, f"{said}: the same record is in two partitions; correct the source")
        )
    if holdout.height < _MIN_HOLDOUT:
        return Findings(found, holdout.height, f"{holdout.height} holdout rows; {_MIN_HOLDOUT} are needed")
    share, chance = _twins(train, holdout, content)
    if share > _SHARED and share > _CHANCE * chance:
        said = f"{share:.1%} of the holdout rows say the same as a training row, where among training rows "
        said += f"{chance:.1%} have a twin: records were copied from one window into the other"
        found.append(Leak("same_content", None, share, said))
    return Findings(found, holdout.height)


def _twins(train: pl.DataFrame, holdout: pl.DataFrame, content: Sequence[str]) -> tuple[float, float]:
    """The share of holdout rows with a twin in training, and of training rows with one among themselves."""
    said = pl.struct(list(content)).hash(seed=0)
    learned, judged = train.select(said).to_series(), holdout.select(said).to_series()
    within = learned.is_duplicated().mean()
    across = judged.is_in(learned.unique().implode()).mean()
    return float(across or 0.0), float(within or 0.0)  # type: ignore[arg-type]
