"""`<model>_retrain`: one request for each time, also over a change of the clocks, and for what was missed."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from mlcicd_assets.automation.requests.schedules import retrain_schedules
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.retrain import Retrain
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL
from tests.fakes.requests import MemoryRequests


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> ModelLane:
    return write_catalogue(tmp_path_factory.mktemp("declared") / "defs").models[MODEL]


def declared(lane: ModelLane, **retrain: Any) -> ModelLane:
    model = lane.model.model_copy(update={"retrain": Retrain(**retrain)})
    return ModelLane(model, lane.folder, lane.data)


def evaluate(lane: ModelLane, requests: MemoryRequests, due: datetime, now: datetime) -> str:
    (schedule,) = retrain_schedules(lane, lambda: now)
    context = dg.build_schedule_context(scheduled_execution_time=due, resources={"requests": requests})
    found = schedule(context)
    assert isinstance(found, dg.SkipReason)
    return found.skip_message


def times(lane: ModelLane, start: datetime) -> Iterator[datetime]:
    """As Dagster's scheduler goes through them."""
    (schedule,) = retrain_schedules(lane)
    return schedule_execution_time_iterator(
        start.timestamp(), schedule.cron_schedule, schedule.execution_timezone, ascending=True
    )


def test_without_a_schedule_there_is_none(lane: ModelLane):
    assert retrain_schedules(lane) == []
    assert retrain_schedules(declared(lane, data=True)) == []


def test_a_time_is_asked_for_once_in_its_own_zone(lane: ModelLane):
    nightly = declared(lane, schedule="0 2 * * *", timezone="Asia/Kolkata")
    due = next(times(nightly, datetime(2026, 1, 31, 12, tzinfo=UTC)))
    requests = MemoryRequests()

    assert evaluate(nightly, requests, due, due).startswith(f"asked for {MODEL}")
    assert evaluate(nightly, requests, due, due).endswith("was asked for before")

    (kept,) = requests.pending()
    assert kept.request.scope == f"model:{MODEL}"
    assert kept.request.fingerprint == "2026-01-31T20:30:00+00:00"
    assert kept.request.reason == "scheduled for 2026-02-01 02:00 Asia/Kolkata"
    assert kept.request.by == f"{MODEL}_retrain"


@pytest.mark.parametrize(
    ("start", "hours"),
    [
        (datetime(2026, 3, 27, tzinfo=UTC), [1, 1, 1, 0, 0]),  # clocks go forward on 29 March
        (datetime(2026, 10, 23, tzinfo=UTC), [0, 0, 1, 1, 1]),  # and back on 25 October
    ],
)
def test_each_day_is_asked_for_once_when_the_clocks_change(
    lane: ModelLane, start: datetime, hours: list[int]
):
    # given 02:30, an hour that one day does not have and another has twice
    nightly = declared(lane, schedule="30 2 * * *", timezone="Europe/Berlin")
    due = list(itertools.islice(times(nightly, start), 5))
    requests = MemoryRequests()

    for one in due:
        evaluate(nightly, requests, one, one)

    moments = [datetime.fromisoformat(kept.request.fingerprint) for kept in requests.pending()]
    days = [moment.astimezone(ZoneInfo("Europe/Berlin")).date() for moment in moments]
    assert len(days) == len(set(days)) == 5
    assert [moment.hour for moment in moments] == hours


def test_what_was_missed_is_made_up_for_once(lane: ModelLane):
    # given three nights without a daemon: Dagster evaluates the last one, and tells it once more when killed
    nightly = declared(lane, schedule="0 2 * * *")
    due = datetime(2026, 1, 31, 2, tzinfo=UTC)
    requests = MemoryRequests()

    for _ in range(2):
        evaluate(nightly, requests, due, due + timedelta(hours=9))

    assert len(requests.pending()) == 1


def test_or_not_at_all(lane: ModelLane):
    nightly = declared(lane, schedule="0 2 * * *", catch_up="none")
    due = datetime(2026, 1, 31, 2, tzinfo=UTC)
    requests = MemoryRequests()

    said = evaluate(nightly, requests, due, due + timedelta(hours=9))
    assert said == "2026-01-31 02:00 was missed, and is not made up for: catch_up is none"
    assert requests.pending() == []

    evaluate(nightly, requests, due, due + timedelta(seconds=20))  # a daemon that is merely slow
    assert len(requests.pending()) == 1
