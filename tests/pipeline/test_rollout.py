"""A rollout that takes longer than a run: begun by the asset, seen in the UI, advanced by the sensor."""

from typing import Any

import dagster as dg

from mlcicd_assets.assets.rollouts.actions import World
from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.assets.rollouts.repair import repair
from mlcicd_assets.ml.catalogue import load_all
from tests.pipeline.conftest import Pipeline, failures


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    events = result.asset_materializations_for_node("returns__deployment")
    return {name: value.value for name, value in events[-1].metadata.items()}


def rollouts_of(pipeline: Pipeline) -> Rollouts:
    names = ("ledger", "registry", "tracking", "keys", "serving")
    lane = load_all(pipeline.project.defs).models["returns"]
    return Rollouts(lane, World(**{name: pipeline.resources[name] for name in names}))


def test_every_server_is_started_with_what_is_declared_also_by_a_repair(pipeline: Pipeline):
    pipeline.project.land()
    serving_now = "serving: {memory: 512MB, threads: 2, timeout: 3s, "
    pipeline.project.edit("returns/defs.yaml", "serving: {", serving_now)
    pipeline.project.edit(
        "sales/defs.yaml", "  time: sold_at", "  personal: {sale_id: hash}\n  time: sold_at"
    )
    first = pipeline.materialize()
    assert first.success, failures(first)
    serving = pipeline.resources["serving"]
    started = dict(serving.settings)

    # when production lost its server
    serving.servers.clear()
    serving.settings.clear()
    assert repair(rollouts_of(pipeline)) != []

    expected = started["production", "returns", 1]
    assert (expected.memory_bytes, expected.threads, expected.answer_within_s) == (512_000_000, 2, 3.0)
    assert expected.log["personal"] == {"sale_id": "hash"}
    assert started["staging", "returns", 1] == expected
    assert serving.settings == {("production", "returns", 1): expected}


def test_a_long_canary_outlives_its_run_and_a_failing_one_is_taken_back(pipeline: Pipeline):
    pipeline.project.land()
    canary = "rollout: {strategy: canary, weights: [10, 100], bake: 10m}"
    pipeline.project.edit("returns/defs.yaml", "rollout: {keep_warm: 1s}", canary)
    first = pipeline.materialize()
    assert first.success, failures(first)
    pipeline.project.edit("returns/model.py", "C=1.0", "C=0.5")

    # given a second version that has begun its canary
    begun = pipeline.materialize('group:"returns"', months=None)
    assert begun.success, failures(begun)
    serving = pipeline.resources["serving"]
    assert dict(serving.routes("production", "returns")) == {1: 90, 2: 10}
    assert pipeline.champion() == "1"
    assert pipeline.checks["serves_champion"].passed
    assert "version 2 is baking, step 1 of 2 (canary 10 %)" in shown(begun)["rollout"]
    assert "sensor 'rollouts'" in shown(begun)["goes on"]

    # when it fails every request
    serving.count("production", "returns", 1, requests=90)
    serving.count("production", "returns", 2, requests=10, failed_attempts=10)
    rollouts = rollouts_of(pipeline)
    rollouts.run(patience_s=30)

    # then it is gone, and is not released again by itself
    assert pipeline.champion() == "1"
    assert dict(serving.routes("production", "returns")) == {1: 100}
    again = pipeline.materialize('key:"returns/deployment"', months=None)
    assert not again.success
    assert "mlcicd rollout retry returns" in failures(again)
