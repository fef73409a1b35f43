"""The demonstration, with Dagster's command replaced by what it would leave behind."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mlcicd_assets.automation.blueprint import MODEL_STAGES, current_codes
from mlcicd_assets.cli import materialize
from mlcicd_assets.cli.materialize import Outcome, StepEvent
from mlcicd_assets.demo import Demonstration
from resources.protocols import Materialization


class Stage:
    """A demonstration of the small world, and what it prints."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.written = io.StringIO()
        out = Console(file=self.written, width=200)
        self.demo = Demonstration(world.session, out, "shop_risk", ("shops", "orders"), "2026-02")

    @property
    def text(self) -> str:
        return self.written.getvalue()

    def everything_ran(self) -> None:
        """Leave behind what a whole run leaves: data, records, a champion that serves."""
        self.world.validated()
        if self.world.ledger.pointer("champion/shop_risk") is None:
            self.world.champion()
        codes = current_codes(self.world.catalogue)
        places: list[tuple[str, str | None]] = [(f"shop_risk/{stage}", None) for stage in MODEL_STAGES]
        for stage in ("raw_data", "validated_data", "features"):
            places += [(f"orders/{stage}", month) for month in ("2026-01", "2026-02")]
        places += [("shops/raw_data", None), ("shops/validated_data", None)]
        for asset, partition in places:
            inputs = {}
            if asset == "shop_risk/trained_model":
                inputs = {f"orders/features@{month}": "c" for month in ("2026-01", "2026-02")}
            self.record(asset, partition, codes[asset].version, inputs)

    def record(self, asset: str, partition: str | None, code: str, inputs: Any) -> None:
        made = Materialization(asset, partition, code, inputs, "c", "2026-03-01T00:00:00", "run", 0.1)
        self.world.records.write(made)


@pytest.fixture
def stage(world: Any) -> Stage:
    return Stage(world)


@pytest.fixture
def dagster(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str | None]]:
    """Dagster's command succeeds and leaves its traces; the list says what was asked of it."""
    asked: list[tuple[str, str | None]] = []

    def run(session: Any, selection: str, partitions: str | None, watch: Any) -> Outcome:
        asked.append((selection, partitions))
        watch(StepEvent("orders/raw_data", "running"))
        watch(StepEvent("orders/raw_data", "done", "57 ms"))
        stage.everything_ran()
        return Outcome(True, (), tmp_path / "log")

    monkeypatch.setattr(materialize, "materialize", run)
    return asked


def test_the_first_time_everything_lands_runs_and_is_told(stage: Stage, dagster: Any) -> None:
    assert stage.demo.run() == 0

    assert dagster == [("group:shops,group:orders,group:shop_risk", "2026-01...2026-02")]
    for told in (
        "landing/orders/2026-02.parquet",
        "$ dagster asset materialize -f definitions.py --select group:shops,group:orders,group:shop_risk",
        "done    orders/raw_data  57 ms",
        "roc_auc",
        ">= 0.60",
        "shop_risk version 1",
        stage.world.made.digest,
        "verified, Ed25519 key",
        f"{stage.world.serving.address}/v2/models/shop_risk",
        "answered by version 1",
        "make dev",
    ):
        assert told in stage.text


def test_the_second_time_nothing_runs(stage: Stage, dagster: Any) -> None:
    stage.demo.run()

    assert stage.demo.run() == 0

    assert len(dagster) == 1
    assert "Everything is fresh: nothing to run." in stage.text


def test_serving_that_was_stopped_is_brought_up(stage: Stage, dagster: Any) -> None:
    stage.demo.run()
    stage.world.serving.stop()

    assert stage.demo.run() == 0

    assert "serving was stopped and is up again" in stage.text
    assert stage.world.serving.running


def test_one_changed_file_runs_its_chain_alone(stage: Stage, dagster: Any) -> None:
    stage.demo.run()
    stage.record("orders/raw_data", "2026-02", "older code", {})

    stage.demo.materialize([status for status in stage.demo.concerned() if status.state == "stale"])

    selection, partitions = dagster[-1]
    assert partitions == "2026-02...2026-02"
    assert "shops" not in selection
    assert 'key:"shop_risk/monitoring_report"' in selection


def test_a_failed_gate_is_told_with_value_and_bound_and_is_exit_code_1(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failure = StepEvent("shop_risk/gates", "failed", "1 blocking asset check failed: roc_auc")

    def run(*_: Any) -> Outcome:
        gate = {"name": "roc_auc", "value": 0.52, "bound": ">= 0.60", "passed": False}
        stage.world.trained(gates=[gate])
        return Outcome(False, (failure,), tmp_path / "log")

    monkeypatch.setattr(materialize, "materialize", run)

    assert stage.demo.run() == 1

    assert "shop_risk/gates failed:" in stage.text
    assert "gate roc_auc: 0.52 is not >= 0.60" in stage.text
    assert f"The whole log: {tmp_path / 'log'}" in stage.text.replace("\n", "")


def test_a_command_that_fails_before_any_step_shows_its_last_lines(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("DeclarationError: flights/defs.yaml: nmae: unknown field\n")
    monkeypatch.setattr(materialize, "materialize", lambda *_: Outcome(False, (), log))

    assert stage.demo.run() == 1

    assert "nmae: unknown field" in stage.text
