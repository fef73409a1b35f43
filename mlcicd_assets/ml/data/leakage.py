"""Leakage: a feature that knows the label, and holdout rows that were learned from.

A feature is suspected when it alone ranks the label almost perfectly: by its numbers, up or down; or by any
mapping. For the latter its values (numbers in 50 bins of equal size, null a bin of its own) are replaced by
the share of positives that every second row shows, and the area under the ROC curve is taken on the other
rows, so that a feature with many values gains nothing by chance. Of many classes it is the mean area of each
against the rest, for a feature may well decide one of them alone; of a number it is the correlation of ranks
(Spearman), with the mean rank of each bin as the mapping. The principle is that of Kaufman et al., "Leakage
in Data Mining" (2012): what predicts too well is looked at by a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from mlcicd_assets.ml.tasks import LabelKind

SUSPICIOUS = 0.995  # area under the curve, or correlation of ranks
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
    value: float  # the area under the curve, the correlation, or how many rows or which share
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


def label_leaks(
    rows: pl.DataFrame,
    features: Sequence[str],
    label: str,
    allowed: Sequence[str],
    kind: LabelKind = "binary",
) -> Findings:
    """The features that decide the label alone; `allowed` were looked at by a person."""
    known = rows.filter(pl.col(label).is_not_null())
    missing = _too_little(known[label], kind)
    if missing:
        return Findings([], known.height, missing)
    sample = _sampled(known, label, kind)
    strength = {"binary": _area, "classes": _mean_area, "number": _correlation}[kind]
    found = []
    for name in features:
        if name in allowed:
            continue
        value = strength(sample, name, label)
        if value >= SUSPICIOUS:
            found.append(Leak("decides_the_label", name, value, _decides(name, value, kind)))
    return Findings(found, sample.height)


def _too_little(labels: pl.Series, kind: LabelKind) -> str:
    """Why there is not enough to judge; empty when there is."""
    if kind == "number":
        if labels.len() >= MIN_ROWS and labels.n_unique() > 1:
            return ""
        said = f"{labels.len()} labelled rows with {labels.n_unique()} values; {MIN_ROWS} and 2 "
        return f"{said}are needed to judge"
    second = _rows_of_second(labels)
    if labels.len() >= MIN_ROWS and second >= MIN_OF_EACH_CLASS:
        return ""
    rarer = "rarer" if kind == "binary" else "second most frequent"
    said = f"{labels.len()} labelled rows with {second} of the {rarer} class; {MIN_ROWS} and "
    return f"{said}{MIN_OF_EACH_CLASS} are needed to judge"


def _rows_of_second(labels: pl.Series) -> int:
    """How many rows the second most frequent class has: of two classes, the rarer."""
    counts = labels.value_counts()["count"].sort(descending=True)
    return int(counts[1]) if counts.len() > 1 else 0


def _area(rows: pl.DataFrame, name: str, label: str) -> float:
    return max(_mapped_auc(rows, name, label), _ordered_auc(rows[name], rows[label]))


def _mean_area(rows: pl.DataFrame, name: str, label: str) -> float:
    """The mean over the classes that have enough rows, each against the rest."""
    counts = rows[label].value_counts().sort(label)
    classes = [one for one, count in counts.iter_rows() if count >= MIN_OF_EACH_CLASS]
    lost = 0.0
    for one in classes:
        lost += 1 - _area(rows.with_columns((pl.col(label) == one).cast(pl.Int8)), name, label)
        if lost / len(classes) > 1 - SUSPICIOUS:
            break  # whatever the other classes say, the mean will not reach the bound
    return 1 - lost / len(classes)


def _correlation(rows: pl.DataFrame, name: str, label: str) -> float:
    ranked = rows.select(_binned(rows[name]).alias("bin"), pl.col(label).rank().alias("label"))
    halves = ranked.with_columns(pl.int_range(pl.len()).mod(2).alias("half"))
    learned = halves.filter(pl.col("half") == 0)
    means = learned.group_by("bin").agg(pl.col("label").mean().alias("mean"))
    judged = halves.filter(pl.col("half") == 1).join(means, on="bin", how="left", nulls_equal=True)
    mapped = _together(judged["mean"].fill_null(learned["label"].mean()), judged["label"])
    values = rows[name]
    if not values.dtype.is_numeric():
        return mapped
    present = rows.select(pl.col(name).cast(pl.Float64).fill_nan(None).alias("x"), pl.col(label)).drop_nulls()
    if present.height < rows.height / 2:  # what is mostly missing does not decide
        return mapped
    return max(mapped, _together(present["x"].rank(), present[label].rank()))


def _together(left: pl.Series, right: pl.Series) -> float:
    """The size of the correlation; 0 where one does not vary."""
    if left.len() < 2 or left.n_unique() < 2 or right.n_unique() < 2:
        return 0.0
    return abs(float(pl.select(pl.corr(left, right)).item()))


def _decides(name: str, value: float, kind: LabelKind) -> str:
    how = {
        "binary": f"alone ranks the label with an area under the curve of {value:.4f}",
        "classes": f"alone tells the classes apart with a mean area under the curve of {value:.4f}",
        "number": f"alone ranks the label with a correlation of {value:.4f}",
    }[kind]
    return (
        f"feature {name!r} {how}: it is probably "
        "a function of the label; leave it out, or list it under 'not_leaking' when it may know that much"
    )


def _sampled(known: pl.DataFrame, label: str, kind: LabelKind) -> pl.DataFrame:
    """At most SAMPLED rows, evenly taken from each class, so that rare positives stay rare but are there."""
    every = max(1, known.height // SAMPLED)
    if every == 1:
        return known
    if kind == "number":
        return known.gather_every(every)
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
