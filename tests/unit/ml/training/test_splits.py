from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlcicd_assets.ml.training.splits import NotEnoughData, Split, choose_windows, rows_of
from tests.fakes.evaluations import declaration

START = datetime(2026, 1, 1)
DAY = timedelta(days=1)


def days(count: int, *, per_day: int = 40, delay: float | None = None) -> pl.DataFrame:
    """Rows spread over each day, every second positive; labels arrive `delay` days later."""
    times = [START + DAY * day + DAY * row / per_day for day in range(count) for row in range(per_day)]
    frame = pl.DataFrame({"_time": times, "_label": [row % 2 for row in range(len(times))]})
    if delay is None:
        return frame
    return frame.with_columns(_arrives=pl.col("_time") + DAY * delay)


def choose(frame: pl.DataFrame, as_of: datetime, arrives: str | None = None, **changes: Any) -> Split:
    windows = {"train": "20d", "holdout": "7d", **changes}
    return choose_windows(frame, declaration(**windows), as_of=as_of, arrives=arrives)


def test_the_holdout_is_the_most_recent_window_and_training_ends_where_it_begins() -> None:
    split = choose(days(40), START + 40 * DAY)

    assert (split.holdout.start, split.holdout.end) == (START + 33 * DAY, START + 40 * DAY)
    assert (split.train.start, split.train.end) == (START + 13 * DAY, START + 33 * DAY)
    assert (split.holdout.rows, split.holdout.excluded) == (280, 0)
    assert split.holdout.classes == {"0": 140, "1": 140}
    assert split.train.rows == 800


def test_nothing_from_as_of_on_is_seen() -> None:
    split = choose(days(60), START + 40 * DAY)

    assert split.holdout.end == START + 40 * DAY


def test_labels_that_never_come_are_excluded_and_counted() -> None:
    frame = days(40).with_columns(_label=pl.when(pl.int_range(pl.len()) % 5 > 0).then("_label"))

    split = choose(frame, START + 40 * DAY)

    assert split.holdout.end == START + 40 * DAY
    assert (split.holdout.rows, split.holdout.excluded) == (224, 56)


def test_days_without_any_label_move_the_holdout_back() -> None:
    frame = days(45).with_columns(_label=pl.when(pl.col("_time") < START + 38 * DAY).then("_label"))

    split = choose(frame, START + 45 * DAY)

    assert split.holdout.end == START + 38 * DAY


def test_late_labels_move_the_holdout_back_until_they_are_in() -> None:
    split = choose(days(50, delay=6.0), START + 50 * DAY, "_arrives")

    # What happened on day 43 is known by day 50; of day 44 nothing.
    assert split.holdout.end == START + 44 * DAY
    assert split.holdout.excluded == 0


def test_a_label_from_the_future_is_not_known_yet() -> None:
    frame = days(50, delay=6.0).with_columns(
        _arrives=pl.when(pl.int_range(pl.len()) % 20 == 0).then(START + 90 * DAY).otherwise("_arrives")
    )

    early, late = (choose(frame, START + day * DAY, "_arrives") for day in (50, 100))

    assert early.holdout.excluded == 14  # one row in twenty
    assert late.holdout.excluded == 0
    assert late.holdout.end == START + 50 * DAY


def test_an_aware_clock_and_aware_records_are_understood() -> None:
    aware = days(40).with_columns(pl.col("_time").dt.replace_time_zone("UTC"))
    as_of = (START + 40 * DAY).replace(tzinfo=UTC)

    assert choose(days(40), as_of).holdout.end == START + 40 * DAY
    assert choose(aware, as_of).holdout.end == as_of
    assert choose(aware, START + 40 * DAY).holdout.end == as_of


def test_windows_shorter_than_a_day_are_possible() -> None:
    split = choose(days(3, per_day=2400), START + 3 * DAY, train="24h", holdout="6h")

    assert split.holdout.start == START + 3 * DAY - timedelta(hours=6)
    assert split.holdout.rows == 600


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (days(0), "no day has a label .no rows"),
        (days(40).with_columns(_label=pl.lit(None, pl.Int8)), "no day has a label .0% labelled"),
        (days(7), "the train window of 20d .* has 0 labelled rows"),
        (days(40, per_day=4), "the train window of 20d .* has 80 labelled rows .40 positive"),
        (days(40).with_columns(_label=pl.lit(0)), ".*0 positive, 800 negative"),
        (
            days(40).with_columns(
                _label=pl.when(pl.col("_time") < START + 33 * DAY).then("_label").otherwise(1)
            ),
            "the holdout window of 7d .*280 positive, 0 negative",
        ),
    ],
)
def test_a_degenerate_window_is_named_with_counts_and_remedy(frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(NotEnoughData, match=f"shop_risk: {said}.*land more partitions"):
        choose(frame.cast({"_time": pl.Datetime("us")}), START + 40 * DAY)


def test_labels_that_never_mature_are_named() -> None:
    with pytest.raises(NotEnoughData, match=r"no day has at least 90% of a day's labels .*wait for labels"):
        choose(days(40, delay=60.0), START + 40 * DAY, "_arrives")


def test_a_date_is_not_a_time() -> None:
    with pytest.raises(NotEnoughData, match="time column is Date"):
        choose(days(40).cast({"_time": pl.Date}), START + 40 * DAY)


@given(
    total=st.integers(12, 60),
    seen=st.integers(12, 70),
    train=st.integers(3, 30),
    holdout=st.integers(3, 14),
    delay=st.one_of(st.none(), st.floats(0, 8)),
)
def test_windows_never_overlap_and_never_look_ahead(
    total: int, seen: int, train: int, holdout: int, delay: float | None
) -> None:
    frame, as_of = days(total, delay=delay), START + seen * DAY
    arrives = None if delay is None else "_arrives"
    try:
        split = choose(frame, as_of, arrives, train=f"{train}d", holdout=f"{holdout}d")
    except NotEnoughData:
        assume(False)

    assert split.train.end == split.holdout.start
    assert split.train.end - split.train.start == train * DAY
    assert split.holdout.end - split.holdout.start == holdout * DAY
    assert split.holdout.end <= as_of
    for window in (split.train, split.holdout):
        rows = rows_of(frame.lazy(), window, as_of=split.as_of, arrives=arrives).collect()
        assert rows.height == window.rows
        assert rows["_label"].sum() == window.classes["1"]
        assert rows.filter(pl.col("_time") >= window.end).is_empty()


def test_a_rare_third_class_does_not_stop_a_training_and_a_constant_does() -> None:
    frame = days(40).with_columns(_label=pl.Series([["a", "b"][row % 2] for row in range(1_600)]))
    rare = frame.with_columns(
        _label=pl.when(pl.int_range(pl.len()) == 1_599).then(pl.lit("c")).otherwise("_label")
    )
    several = {"task": "multiclass", "gates": {"accuracy": ">= 0.5"}, "champion": {"metric": "accuracy"}}

    split = choose(rare, START + 40 * DAY, **several)

    assert split.holdout.classes == {"a": 140, "b": 139, "c": 1}
    with pytest.raises(NotEnoughData, match=r"800 of a.*two classes with 10 each"):
        choose(frame.with_columns(_label=pl.lit("a")), START + 40 * DAY, **several)


def test_a_number_needs_rows_and_two_values() -> None:
    number = {"task": "regression", "gates": {"rmse": "<= 1"}, "champion": {"metric": "mae"}}
    frame = days(40).with_columns(_label=pl.int_range(pl.len()).cast(pl.Float64))

    assert choose(frame, START + 40 * DAY, **number).holdout.classes == {}
    with pytest.raises(NotEnoughData, match="1 different values"):
        choose(frame.with_columns(_label=pl.lit(2.0)), START + 40 * DAY, **number)
