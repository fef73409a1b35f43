"""Labels as they were known at a moment: nothing of the future, and nothing made up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.data.labels import LabelError
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.monitoring.late_labels import TRUTH, known_labels, with_labels

EVENT = datetime(2026, 4, 9, 12)
AS_OF = datetime(2026, 4, 20, tzinfo=UTC)


def dataset(**more: Any) -> DatasetDeclaration:
    declared = {
        "name": "payments",
        "owner": "team:risk",
        "source": {"files": "landing/payments.parquet"},
        "contract": "dataset.py:Payments",
        "features": "features.py:features",
        "keys": ["id"],
        "time": "event_time",
        "label": {"column": "fraud", "arrives": "label_time"},
    }
    return DatasetDeclaration.model_validate({**declared, **more})


def records(arrivals: list[datetime | None], labels: list[bool | None] | None = None) -> pl.LazyFrame:
    return pl.DataFrame(
        {
            "id": range(len(arrivals)),
            "event_time": [EVENT] * len(arrivals),
            "fraud": labels or [True] * len(arrivals),
            "label_time": arrivals,
        },
        schema_overrides={"label_time": pl.Datetime("us"), "fraud": pl.Boolean},
    ).lazy()


def test_a_label_counts_from_its_arrival_on() -> None:
    naive = AS_OF.replace(tzinfo=None)
    moments = [naive - timedelta(seconds=1), naive, naive + timedelta(microseconds=1), None]

    assert known_labels(records(moments), dataset(), AS_OF)["_id"].to_list() == ["0", "1"]


@given(st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=12), st.integers(0, 40))
def test_whatever_arrives_and_is_asked_for_only_the_past_is_known(days: list[int | None], asked: int) -> None:
    arrivals = [None if day is None else EVENT + timedelta(days=day) for day in days]
    as_of = (EVENT + timedelta(days=asked)).replace(tzinfo=UTC)

    known = known_labels(records(arrivals), dataset(), as_of)["_id"].to_list()

    # on the day of the event itself nothing is known yet: it has only just happened
    wanted = [str(n) for n, day in enumerate(days) if day is not None and day <= asked and asked > 0]
    assert sorted(known) == sorted(wanted)


def test_without_an_arrival_a_label_is_known_with_its_record() -> None:
    plain = dataset(label={"column": "fraud"})

    assert known_labels(records([None]), plain, AS_OF).height == 1
    assert known_labels(records([None]), plain, datetime(2026, 4, 9, 11, tzinfo=UTC)).height == 0


def test_a_record_without_a_label_is_unlabelled_and_never_a_negative() -> None:
    labels = known_labels(records([EVENT, EVENT], [None, False]), dataset(), AS_OF)
    rows = pl.DataFrame({"_id": ["0", "1", "2"], "score": [0.1, 0.2, 0.3]})

    found = with_labels(rows, labels, dataset())

    assert found.frame.select("_id", TRUTH).rows() == [("1", 0)]
    assert (found.rows, found.share) == (3, 1 / 3)


def test_a_record_that_was_asked_about_twice_counts_once_and_one_without_keys_stays_unlabelled() -> None:
    labels = known_labels(records([EVENT]), dataset(), AS_OF)
    rows = pl.DataFrame({"_id": ["0", "0", None], "score": [0.1, 0.9, 0.5]})

    found = with_labels(rows, labels, dataset())

    assert found.frame["score"].to_list() == [0.9]
    assert found.rows == 2


def test_keys_that_were_never_recorded_join_nothing() -> None:
    labels = known_labels(records([EVENT]), dataset(), AS_OF)

    assert with_labels(pl.DataFrame({"score": [0.5]}), labels, dataset()).share == 0.0


def test_a_column_that_is_missing_is_named() -> None:
    with pytest.raises(LabelError, match="payments/validated_data has no column label_time"):
        known_labels(records([EVENT]).drop("label_time"), dataset(), AS_OF)
