"""Requests answered by real runs: from what was asked for to the champion, or to the gate that stops it."""

from datetime import UTC, datetime

import dagster as dg

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint
from mlcicd_assets.automation.requests.schedules import scheduled
from mlcicd_assets.automation.requests.sensor import requests_sensor
from mlcicd_assets.ml.catalogue import load_all
from resources.protocols import Request
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.projects import MONTHS
from tests.fakes.requests import MemoryRequests
from tests.pipeline.conftest import Pipeline

NOW = datetime(2026, 5, 2, tzinfo=UTC)
RETRAIN = '\n  retrain: {schedule: "0 2 * * *", data: true, budget: 1 cpu-hours/month}\n'


class Daemon:
    """Ticks the sensor and runs what it asks for, in this process."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.requests = MemoryRequests(lambda: NOW)
        self.alerts = MemoryAlerts()
        self.ran: list[str] = []

    def settle(self) -> list[str]:
        """Until nothing is asked for any more; returns the runs."""
        self.ran = []
        while runs := self._tick():
            for run in runs:
                self._run(run)
        return self.ran

    def _tick(self) -> list[dg.RunRequest]:
        sensor = requests_sensor(lambda _: Blueprint.of(load_all(self.pipeline.project.defs)), lambda: NOW)
        known = {**self.pipeline.resources, "requests": self.requests, "alerts": self.alerts}
        known |= {"known_landing": known["landing"], "repository": object()}
        asked_of = {name: known[name] for name in sensor.required_resource_keys}
        found = sensor(dg.build_sensor_context(self.pipeline.instance, resources=asked_of))
        return list(found.run_requests) if isinstance(found, dg.SensorResult) else []

    def _run(self, request: dg.RunRequest) -> None:
        names = [key.to_user_string() for key in request.asset_selection or []]
        first = request.tags.get("dagster/asset_partition_range_start")
        months = (first, request.tags["dagster/asset_partition_range_end"]) if first else None
        self.ran.append(" ".join(names) + (f" {'...'.join(months)}" if months else ""))
        select = " or ".join(f'key:"{name}"' for name in names)
        tags = {**request.tags, "dagster/run_key": request.run_key or ""}
        self.pipeline.materialize(select, months, tags=tags)


def test_from_a_request_to_the_champion_and_no_further_than_the_gates(pipeline: Pipeline):
    with (pipeline.project.defs / "returns" / "defs.yaml").open("a") as file:
        file.write(RETRAIN)
    daemon, ledger = Daemon(pipeline), pipeline.resources["ledger"]
    pipeline.project.land()

    # What has landed asks for the data, and that for the model.
    daemon.requests.add(Request("dataset:stores", "data", "s1", "stores have landed"))
    daemon.requests.add(Request("dataset:sales", "data", "f1", "months have landed"))
    ran = daemon.settle()

    assert {one.state for one in daemon.requests.history()} == {"done", "merged"}
    assert ran[-1] == " ".join(f"returns/{stage}" for stage in MODEL_STAGES)
    assert sum("sales/features" in one for one in ran) == 1
    assert pipeline.champion() == "1"
    trained = next(line for line in ledger.entries("returns") if line.action == "trained")
    assert trained.details["cost"]["cpu_seconds"] > 0

    # The time of the schedule comes, and nothing has changed: the same model need not be made again.
    daemon.requests.add(scheduled("returns", NOW, "UTC"))
    assert daemon.settle() == []
    assert daemon.requests.history()[0].answer.startswith(
        "nothing to do: code and data are those that returns"
    )

    # Corrected data comes, and what the schedule trains on it is not good enough: the champion stays.
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.99"')
    pipeline.project.land([MONTHS[2]], seed=7)
    daemon.requests.add(scheduled("returns", NOW.replace(day=3), "UTC"))
    ran = daemon.settle()

    assert len(ran) == 2
    failed = daemon.requests.history()[0]
    assert failed.state == "failed"
    assert failed.answer.startswith("check returns/evaluation_report:")
    assert "roc_auc" in failed.answer
    assert pipeline.champion() == "1"
    assert [line.action for line in ledger.entries("returns")].count("registered") == 1
