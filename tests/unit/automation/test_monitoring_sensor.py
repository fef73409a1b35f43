"""Each model's report is asked for once for each window, and only where something serves."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.automation.monitoring import monitoring_sensor
from mlcicd_assets.ml.catalogue import Catalogue
from tests.fakes.catalogues import write_catalogue
from tests.fakes.ledger import MemoryLedger
from tests.fakes.releases import MODEL

NOON = datetime(2026, 4, 10, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return write_catalogue(tmp_path_factory.mktemp("declared") / "defs")


def _serving(version: str | None) -> MemoryLedger:
    ledger = MemoryLedger()
    if version:
        ledger.move(
            f"champion/{MODEL}", expected=None, new=version, action="promoted", model=MODEL, actor="test"
        )
    return ledger


def _tick(catalogue: Catalogue, ledger: MemoryLedger, now: datetime, cursor: str | None = None) -> Any:
    context = dg.build_sensor_context(resources={"ledger": ledger}, cursor=cursor)
    return monitoring_sensor(lambda: catalogue, lambda: now)(context)


def test_a_window_that_is_over_is_asked_for_once(catalogue: Catalogue) -> None:
    ledger = _serving("1")
    found = _tick(catalogue, ledger, NOON)
    again = _tick(catalogue, ledger, NOON + timedelta(hours=11), found.cursor)
    tomorrow = _tick(catalogue, ledger, NOON + timedelta(days=1), found.cursor)

    (request,) = found.run_requests
    assert request.run_key == f"monitoring:{MODEL}:2026-04-09T00:00"
    assert [key.path for key in request.asset_selection] == [[MODEL, "monitoring_report"]]
    assert isinstance(again, dg.SkipReason)
    assert json.loads(tomorrow.cursor) == {MODEL: "2026-04-10T00:00"}


def test_the_last_minute_of_a_window_may_still_be_on_its_way(catalogue: Catalogue) -> None:
    ledger = _serving("1")
    midnight = datetime(2026, 4, 10, tzinfo=UTC)
    found = _tick(catalogue, ledger, midnight + timedelta(seconds=10))

    assert json.loads(found.cursor) == {MODEL: "2026-04-08T00:00"}


def test_a_model_that_nothing_serves_is_not_looked_at(catalogue: Catalogue) -> None:
    assert isinstance(_tick(catalogue, _serving(None), NOON), dg.SkipReason)
