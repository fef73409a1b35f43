"""A walk through history with the real training, gates and lake; and the job in Dagster."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from mlcicd_assets.automation.backtests import backtest_job
from mlcicd_assets.cli.app import app
from mlcicd_assets.cli.session import Session
from mlcicd_assets.ml.catalogue import load_all
from tests.pipeline.conftest import Pipeline, failures

DATA = 'group:"sales" or group:"stores"'


@pytest.fixture
def landed(pipeline: Pipeline) -> Pipeline:
    pipeline.project.edit("returns/defs.yaml", "train: 80d", "train: 25d")
    pipeline.project.edit("returns/defs.yaml", "holdout: 30d", "holdout: 20d")
    pipeline.project.land()
    result = pipeline.materialize(DATA)
    assert result.success, failures(result)
    return pipeline


def content(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_gates_of_a_model_are_replayed_without_a_trace(landed: Pipeline):
    session = Session({}, catalogue=load_all(landed.project.defs), resources=landed.resources)
    before = content(landed.project.home)
    told = CliRunner().invoke(
        app, ["backtest", "returns", "--what-if", "roc_auc: >= 0.999", "--json"], obj=session
    )
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    rules = {rule["rule"]: rule for rule in found["rules"]}
    first, *others = rules["roc_auc"]["findings"]
    # January alone is shorter than both windows; from February on there is a verdict each month.
    assert first["outcome"] in {"cold start", "not enough evidence"}
    assert [one["outcome"] for one in others] == ["passed"] * 3
    # The second release is compared with the first of the walk.
    assert "champion version" in rules["beats_champion"]["findings"][-1]["reason"]
    assert found["what_if"]["failed"] == ["2026-02", "2026-03", "2026-04"]
    assert content(landed.project.home) == before
    assert landed.champion() is None


def test_the_job_shows_a_table_and_a_picture(landed: Pipeline):
    job = backtest_job(lambda: load_all(landed.project.defs))
    config = {"ops": {"replay": {"config": {"name": "sales", "from": "2026-02"}}}}
    result = job.execute_in_process(
        run_config=config, resources={"lake": landed.resources["lake"]}, instance=landed.instance
    )
    assert result.success
    (output,) = (event.event_specific_data for event in result.all_node_events if event.is_successful_output)
    metadata = output.metadata
    assert metadata["partitions"].value == 3
    assert metadata["rules"].records[0].data["rule"] == "contract"
    assert metadata["picture"].value.startswith("![sales: gates by partition](data:image/png;base64,")


def test_the_job_says_what_it_was_asked_wrongly(landed: Pipeline):
    job = backtest_job(lambda: load_all(landed.project.defs))
    with pytest.raises(dg.Failure, match="there is no dataset or model 'nothing'"):
        job.execute_in_process(
            run_config={"ops": {"replay": {"config": {"name": "nothing"}}}},
            resources={"lake": landed.resources["lake"]},
            instance=landed.instance,
        )
