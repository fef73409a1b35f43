"""Choosing the training window and the holdout: the most recent days whose labels are in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.tasks import Task

# Where labels arrive late, a day counts once this share of its rows is labelled. Lower, and the holdout would
# be scored on the quickly known labels only, which are not like the rest; higher, and one lost label in ten
# would hold the window back for ever, with the model judged on old data.
MATURE = 0.9
# Below these no metric of the holdout means much: with 100 rows the standard error of an accuracy is already
# five points, and a ranking metric of fewer than 10 positives is an anecdote.
MIN_ROWS = 100
MIN_OF_EACH_CLASS = 10


class NotEnoughData(ValueError):
    """A window that cannot be learned from or judged on; names the window, the counts and the remedy."""


@dataclass(frozen=True)
class Window:
    """A span of time, `start` inclusive, `end` exclusive, and its rows as they were known at `as_of`."""

    start: datetime
    end: datetime
    rows: int  # with a known label: what is learned from or scored
    excluded: int  # in the span, but without a known label
    classes: Mapping[str, int] = field(default_factory=dict)  # rows by class; empty of a regression
    values: int = 0  # how many different labels there are

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Split:
    """Both windows; the holdout begins where the training window ends."""

    train: Window
    holdout: Window
    as_of: datetime


def known_label(as_of: datetime, *, label: str, arrives: str | None) -> pl.Expr:
    """Whether a row's label was known at `as_of`."""
    known = pl.col(label).is_not_null()
    return known & (pl.col(arrives) <= as_of).fill_null(value=False) if arrives else known


def choose_windows(
    rows: pl.LazyFrame | pl.DataFrame,
    declaration: ModelDeclaration,
    *,
    as_of: datetime,
    time: str = "_time",
    label: str = "_label",
    arrives: str | None = None,
) -> Split:
    """Choose the most recent labelled holdout, and the training window right before it.

    `rows` has the columns named by `time`, `label` (null: not known) and, where labels come late, `arrives`.
    Without `arrives` the holdout ends with the last day that has a label: null is then a label that will
    never come (a cancelled flight), excluded and counted. With `arrives` it ends with the last day whose
    labels are MATURE. Nothing from `as_of` on is looked at. Raises NotEnoughData.
    """
    moment = _like(as_of, rows.lazy().collect_schema()[time])
    known = known_label(moment, label=label, arrives=arrives)
    seen = (
        rows.lazy()
        .filter(pl.col(time) < moment)
        .select(time=pl.col(time), known=known, label=pl.when(known).then(pl.col(label)))
        .collect()
    )
    end = _end(seen, late=arrives is not None, name=declaration.name)
    begin = end - declaration.holdout_window
    split = Split(
        train=_window(seen, begin - declaration.train_window, begin, declaration.task),
        holdout=_window(seen, begin, end, declaration.task),
        as_of=moment,
    )
    _require(declaration, "train", declaration.train, split.train)
    _require(declaration, "holdout", declaration.holdout, split.holdout)
    return split


def rows_of(
    rows: pl.LazyFrame,
    window: Window,
    *,
    as_of: datetime,
    time: str = "_time",
    label: str = "_label",
    arrives: str | None = None,
) -> pl.LazyFrame:
    """The rows of a window whose label was known at `as_of`: exactly `window.rows` of them."""
    inside = pl.col(time).is_between(window.start, window.end, closed="left")
    return rows.filter(inside & known_label(as_of, label=label, arrives=arrives))


def _like(moment: datetime, dtype: pl.DataType) -> datetime:
    if not isinstance(dtype, pl.Datetime):
        raise NotEnoughData(
            f"the time column is {dtype}, but windows need a Datetime; make it one in the contract"
        )
    # Records without a time zone are taken as UTC; polars refuses to compare the two kinds.
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return utc if dtype.time_zone else utc.replace(tzinfo=None)


def _end(seen: pl.DataFrame, *, late: bool, name: str) -> datetime:
    days = seen.group_by(pl.col("time").dt.truncate("1d").alias("day")).agg(pl.col("known").mean())
    enough = days.filter(pl.col("known") >= MATURE if late else pl.col("known") > 0)["day"].max()
    if not isinstance(enough, datetime):
        best = days["known"].max()
        coverage = f"{best:.0%} labelled on the best day" if isinstance(best, float) else "no rows"
        wanted = f"at least {MATURE:.0%} of a day's labels" if late else "a label"
        raise NotEnoughData(
            f"{name}: no day has {wanted} ({coverage}, {seen.height} rows on {days.height} days); "
            "land more partitions, or wait for labels to arrive"
        )
    return enough + timedelta(days=1)


def _window(seen: pl.DataFrame, start: datetime, end: datetime, task: Task) -> Window:
    inside = seen.filter(pl.col("time").is_between(start, end, closed="left"))
    labels = inside.filter("known")["label"]
    counts: dict[str, int] = {}
    if task != "regression":
        counts = {str(name): rows for name, rows in labels.value_counts().sort("label").iter_rows()}
    return Window(start, end, len(labels), inside.height - len(labels), counts, labels.n_unique())


def _require(declaration: ModelDeclaration, which: str, length: str, window: Window) -> None:
    if window.rows >= MIN_ROWS and _varies(window, declaration.task):
        return
    what, needed = _counted(window, declaration.task)
    raise NotEnoughData(
        f"{declaration.name}: the {which} window of {length} ({window}) has {window.rows} labelled rows "
        f"({what}, {window.excluded} without a label); it needs {MIN_ROWS} rows and {needed}: land more "
        f"partitions, or declare a longer {which} window"
    )


def _varies(window: Window, task: Task) -> bool:
    """Whether there is something to tell apart. A rare third class may have fewer rows: it is reported."""
    if task == "regression":
        return window.values > 1
    return sum(rows >= MIN_OF_EACH_CLASS for rows in window.classes.values()) >= 2


def _counted(window: Window, task: Task) -> tuple[str, str]:
    """What a window has, and what it needs."""
    if task == "regression":
        return f"{window.values} different values", "two different values"
    if task == "binary":
        positives, negatives = window.classes.get("1", 0), window.classes.get("0", 0)
        return f"{positives} positive, {negatives} negative", f"{MIN_OF_EACH_CLASS} of each class"
    found = ", ".join(f"{rows} of {name}" for name, rows in window.classes.items())
    return found or "no class", f"two classes with {MIN_OF_EACH_CLASS} each"
