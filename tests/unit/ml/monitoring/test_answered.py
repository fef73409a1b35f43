"""In whose window a predicted row lies, and which rows count."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.monitoring.answered import answered, by_record
from mlcicd_assets.ml.monitoring.declaration import Monitor
from mlcicd_assets.ml.monitoring.windows import Span

DAY = Span(datetime(2026, 4, 9, tzinfo=UTC), datetime(2026, 4, 10, tzinfo=UTC))
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def payments() -> DatasetDeclaration:
    return DatasetDeclaration.model_validate(
        {
            "name": "payments",
            "owner": "team:risk",
            "source": {"files": "landing/payments.parquet"},
            "contract": "dataset.py:Payments",
            "features": "features.py:features",
            "keys": ["id"],
            "time": "event_time",
            "label": {"column": "fraud"},
        }
    )


def log(times: list[Any] | None, *, at: datetime = NOW, **more: Any) -> pl.LazyFrame:
    count = len(times or [0, 0])
    inputs = {"id": pl.Series(range(count)), **({"event_time": pl.Series(times)} if times else {})}
    return pl.DataFrame(
        {
            "request_id": [f"r{n}" for n in range(count)],
            "row": [0] * count,
            "at": [at] * count,
            "role": ["live"] * count,
            "score": [0.5] * count,
            "version": [1] * count,
            "inputs": pl.DataFrame(inputs).to_struct("inputs"),
            **more,
        }
    ).lazy()


def test_a_record_lies_in_the_window_of_its_own_time(payments: DatasetDeclaration) -> None:
    times = [
        datetime(2026, 4, 8, 23, 59),
        datetime(2026, 4, 9),
        datetime(2026, 4, 9, 23, 59),
        datetime(2026, 4, 10),
    ]
    found = answered(log(times), payments, Monitor(), DAY)

    assert found["request_id"].to_list() == ["r1", "r2"]
    assert found["_id"].to_list() == ["1", "2"]


@pytest.mark.parametrize("text", ["2026-04-09T10:00:00", "2026-04-09 10:00:00.5"])
def test_a_time_that_was_sent_beside_the_inputs_is_text(payments: DatasetDeclaration, text: str) -> None:
    assert answered(log([text]), payments, Monitor(), DAY).height == 1


@pytest.mark.parametrize("hidden", [["a1b2c3"], [None]])
def test_without_a_readable_time_the_request_s_counts(
    payments: DatasetDeclaration, hidden: list[str | None]
) -> None:
    rows = log([*hidden, "2020-01-01T00:00:00"], at=DAY.start + timedelta(hours=3))

    assert answered(rows, payments, Monitor(), DAY)["request_id"].to_list() == ["r0"]


def test_where_it_is_not_recorded_or_not_wanted_the_request_s_counts(payments: DatasetDeclaration) -> None:
    inside = DAY.start + timedelta(hours=3)
    by_request = Monitor(clock="request")

    assert answered(log(None, at=inside), payments, Monitor(), DAY).height == 2
    assert answered(log([datetime(2020, 1, 1)], at=inside), payments, by_request, DAY).height == 1
    assert not by_record(log([datetime(2020, 1, 1)]).collect_schema(), payments, by_request)


def test_a_request_that_was_asked_twice_counts_once_for_each_version(payments: DatasetDeclaration) -> None:
    times = [datetime(2026, 4, 9, 1)] * 3
    rows = log(times, request_id=["r", "r", "r"], version=[1, 1, 2], score=[0.1, 0.2, 0.3])

    found = answered(rows, payments, Monitor(), DAY).sort("version")
    assert found["score"].to_list() == [0.2, 0.3]
