"""Nothing stale, nothing run; and exactly what an edit or a new file makes stale, decided after each run."""

import json
from datetime import datetime

import dagster as dg

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint
from mlcicd_assets.automation.champions import champion_digests
from mlcicd_assets.automation.landed import landed_files
from mlcicd_assets.automation.planning import next_run
from mlcicd_assets.automation.stale_sensor import stale_sensor
from mlcicd_assets.automation.staleness import Place, Status, assess
from mlcicd_assets.ml.catalogue import load_all
from tests.fakes.projects import MONTHS
from tests.fakes.requests import MemoryRequests
from tests.pipeline.conftest import Pipeline, failures

NOW = datetime(2026, 5, 2)
MODEL = [f"returns/{stage}" for stage in MODEL_STAGES]
HELPER = """
def _log(value):
    return value.log1p()


def features"""


def statuses(pipeline: Pipeline) -> list[Status]:
    blueprint = Blueprint.of(load_all(pipeline.project.defs))
    landed = landed_files(blueprint, pipeline.resources["landing"], NOW)
    champions = champion_digests(pipeline.resources["ledger"], blueprint.models)
    return assess(blueprint, pipeline.resources["records"].all(), landed, champions)


def stale(pipeline: Pipeline) -> dict[str, str]:
    return {one.name: one.reason for one in statuses(pipeline) if one.state == "stale"}


def run_stale(pipeline: Pipeline) -> list[str]:
    """What `mlcicd stale --run` runs, in the order that it does: `asset` or `asset@first...last`."""
    blueprint = Blueprint.of(load_all(pipeline.project.defs))
    tried: set[Place] = set()
    ran: list[str] = []
    while planned := next_run(blueprint, statuses(pipeline), tried):
        tried |= {one.place for one in planned.statuses}
        pipeline.materialize(planned.selection, planned.partitions)
        over = f"@{planned.partition_range}" if planned.partition_range else ""
        ran += [f"{asset}{over}" for asset in planned.assets]
    return ran


def test_only_what_a_change_concerns_is_stale_and_run(pipeline: Pipeline):
    pipeline.project.land()
    run_stale(pipeline)
    assert stale(pipeline) == {}
    assert run_stale(pipeline) == []
    assert pipeline.champion() == "1"

    # A comment changes nothing, nor does the contract where features live in another file.
    pipeline.project.edit("sales/features.py", "import polars", "# quick\nimport polars")
    assert stale(pipeline) == {}

    # A training parameter: training and downstream alone, level by level.
    pipeline.project.edit("returns/defs.yaml", "train: 80d", "train: 75d")
    assert stale(pipeline)["returns/trained_model"] == "parameter changed: train 80d → 75d"
    assert set(stale(pipeline)) == set(MODEL)
    ran = run_stale(pipeline)
    assert ran == MODEL[: len(ran)]
    assert stale(pipeline) == {}

    # A helper of the features that computes the same: features run, and the wave stops there.
    pipeline.project.edit("sales/features.py", "\ndef features", HELPER)
    pipeline.project.edit("sales/features.py", 'pl.col("amount").log1p()', '_log(pl.col("amount"))')
    assert "sales/features.py:features" in stale(pipeline)["sales/features@2026-01"]
    assert run_stale(pipeline) == ["sales/features@2026-01...2026-04"]
    pipeline.project.edit("sales/features.py", "value.log1p()", "(value + 1).log()")
    assert stale(pipeline)["sales/features@2026-02"] == "code changed: sales/features.py:_log"
    assert "sales/validated_data@2026-02" not in stale(pipeline)


def test_a_corrected_partition_runs_its_chain_alone_and_the_model(pipeline: Pipeline):
    pipeline.project.land()
    run_stale(pipeline)

    pipeline.project.land([MONTHS[2]], seed=7)

    month = MONTHS[2]
    assert stale(pipeline)[f"sales/raw_data@{month}"].startswith("data changed: file ")
    assert {name for name in stale(pipeline) if name.startswith("s")} == {
        f"sales/{stage}@{month}" for stage in ("raw_data", "validated_data", "features")
    }
    ran = run_stale(pipeline)
    assert ran[:4] == [
        f"sales/raw_data@{month}...{month}",
        f"sales/validated_data@{month}...{month}",
        f"sales/features@{month}...{month}",
        "returns/trained_model",
    ]
    assert stale(pipeline) == {}


def test_a_failed_gate_holds_the_release_and_says_so(pipeline: Pipeline):
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70"', 'roc_auc: ">= 0.99"')

    run_stale(pipeline)

    held = {one.name: one.reason for one in statuses(pipeline) if one.state == "held"}
    assert "roc_auc is 0." in held["returns/evaluation_report"]
    assert held["returns/deployment"].startswith("upstream returns/staging_deployment is held by a failed")
    assert run_stale(pipeline) == []


_ASKED = ("landing", "warehouse", "records", "ledger", "git")


def test_the_sensor_asks_for_the_same_plan_one_run_at_a_time(pipeline: Pipeline):
    pipeline.project.land()
    sensor = stale_sensor(lambda: Blueprint.of(load_all(pipeline.project.defs)))
    resources = {name: pipeline.resources[name] for name in _ASKED}
    resources["requests"] = MemoryRequests()

    def tick(cursor: str | None) -> dg.SensorResult | dg.SkipReason:
        context = dg.build_sensor_context(pipeline.instance, cursor=cursor, resources=resources)
        return sensor(context)

    first = tick(None)
    (request,) = first.run_requests
    assert request.tags["dagster/asset_partition_range_start"] == MONTHS[0]
    # Asked for, but nothing came of it: it is not asked for again, unless something changes.
    assert isinstance(tick(first.cursor), dg.SkipReason)
    chosen = " or ".join(f'key:"{key.to_user_string()}"' for key in request.asset_selection)
    result = pipeline.materialize(chosen)
    assert result.success, failures(result)
    (request,) = tick(first.cursor).run_requests
    assert [key.to_user_string() for key in request.asset_selection] == MODEL
    assert json.loads(first.cursor)
