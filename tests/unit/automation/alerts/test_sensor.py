"""A tick of the sensor: what it says, what the UI sees, and that no channel holds it up."""

import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.automation.alerts.sensor import alerts_sensor, asset_of, tell_within
from mlcicd_assets.ml.catalogue import Catalogue
from resources.protocols import Alert, ResourceError, Telling
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.ledger import MemoryLedger
from tests.fakes.memory import MemoryRecords


class NoRequests:
    def history(self, limit: int = 100) -> list[Any]:
        return []


@pytest.fixture
def resources() -> dict[str, Any]:
    return {
        "alerts": MemoryAlerts(),
        "ledger": MemoryLedger(),
        "records": MemoryRecords(),
        "requests": NoRequests(),
    }


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(instance: dg.DagsterInstance, resources: dict[str, Any]) -> Any:
    sensor = alerts_sensor(lambda: Catalogue({}, {}))
    repository = dg.Definitions(sensors=[sensor], resources=resources).get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources)
    return sensor.evaluate_tick(context)


def test_a_quiet_tick_says_so(instance: dg.DagsterInstance, resources: dict[str, Any]) -> None:
    assert tick(instance, resources).skip_message == "nothing needs a person"


def test_what_stands_is_said_told_and_seen_on_its_asset(
    instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    resources["ledger"].append(
        "rolled_back", "returns", actor="run 1", version=2, digest="a" * 64, reason="errors"
    )

    made = tick(instance, resources)

    assert made.skip_message == "1 stand: returns: version 2 was rolled back: errors"
    assert [one.head for one in resources["alerts"].sent] == [
        "CRITICAL: returns: version 2 was rolled back: errors"
    ]
    shown, whole = made.asset_events
    assert shown.asset_key == dg.AssetKey(["returns", "deployment"])
    assert shown.metadata["severity"].value == "critical"
    assert "mlcicd rollout status returns" in shown.metadata["run this"].value
    assert whole.asset_key == dg.AssetKey("alerts")
    assert whole.metadata["alerts"].records[0].data["what"].startswith("returns: version 2")

    again = tick(instance, resources)
    assert again.asset_events == []
    assert again.skip_message == made.skip_message


@pytest.mark.parametrize(
    ("cause", "subject", "asset"),
    [
        ("gates/returns/evaluation_report", "model:returns", "returns/evaluation_report"),
        ("run/job decision", "job:decision", None),
        ("approval/returns", "model:returns", "returns/deployment"),
        ("drift/sales", "dataset:sales", "sales/validated_data"),
        ("ticks/stale", "sensor:stale", None),
    ],
)
def test_the_asset_that_an_alert_is_about(cause: str, subject: str, asset: str | None) -> None:
    found = asset_of(Alert(cause, "s", "warning", "t", subject, ""))

    assert (found.to_user_string() if found else None) == asset


def test_a_slow_channel_holds_no_tick_up_and_is_asked_once() -> None:
    free = threading.Event()
    asked: list[int] = []

    class Slow(MemoryAlerts):
        def tell(self) -> Telling:
            asked.append(1)
            free.wait(10)
            return Telling(sent=1)

    alerts = Slow()
    assert tell_within(alerts, 0.01) is None
    assert tell_within(alerts, 0.01) is None
    free.set()
    assert len(asked) == 1


def test_a_store_that_fails_is_seen_in_the_tick(
    instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    class Broken(MemoryAlerts):
        def tell(self) -> Telling:
            raise ResourceError("the alerts at sqlite:///x failed: disk full")

    resources["alerts"] = Broken()

    assert "could not tell: the alerts at" in tick(instance, resources).skip_message
