"""Windows follow each other without gap or overlap, and those that are due are looked at."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.monitoring.windows import due_spans, last_spans, span_at, span_of, window_length

_DAY = timedelta(days=1)
_NOW = datetime(2026, 4, 10, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["7h", "50m", "30s", "36h", "day"])
def test_windows_that_would_begin_at_another_hour_each_day_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"window|duration"):
        window_length(text)


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),
    st.sampled_from(["15m", "1h", "6h", "1d", "1w"]),
)
def test_every_moment_lies_in_exactly_one_window(moment: datetime, text: str) -> None:
    length = window_length(text)
    span = span_at(moment, length)
    moment = moment.replace(tzinfo=UTC)

    assert span.start <= moment < span.end
    assert span_at(span.end, length).start == span.end
    assert span_of(span.key, length) == span


def test_only_windows_that_are_over_count() -> None:
    assert [span.key for span in last_spans(_NOW, _DAY, 2)] == ["2026-04-08T00:00", "2026-04-09T00:00"]
    assert str(last_spans(_NOW, _DAY, 1)[0]) == "2026-04-09"


def _due(known: list[str], open_: list[str], at_most: int = 60) -> list[str]:
    spans = due_spans(_NOW, _DAY, known=known, open_=open_, patience=timedelta(days=5), at_most=at_most)
    return [span.key[:10] for span in spans]


def test_the_first_time_only_the_newest_is_due() -> None:
    assert _due([], []) == ["2026-04-09"]


def test_windows_that_were_missed_are_made_up_for() -> None:
    assert _due(["2026-04-06T00:00"], []) == ["2026-04-07", "2026-04-08", "2026-04-09"]
    assert _due(["2026-01-01T00:00"], [], at_most=2) == ["2026-04-08", "2026-04-09"]


def test_windows_that_wait_for_labels_are_looked_at_again_until_patience_ends() -> None:
    open_ = ["2026-04-03T00:00", "2026-04-05T00:00"]

    assert _due([*open_, "2026-04-09T00:00"], open_) == ["2026-04-05", "2026-04-09"]


def test_what_lies_after_the_moment_is_not_looked_at() -> None:
    assert _due(["2026-05-01T00:00"], ["2026-05-01T00:00"]) == ["2026-04-09"]
