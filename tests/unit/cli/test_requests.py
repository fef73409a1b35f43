"""What `mlcicd requests` shows and takes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from mlcicd_assets.ml.retrain import Retrain
from mlcicd_assets.ml.training.cost import TrainingCost
from resources.protocols import Launch, Request
from tests.fakes.releases import MODEL
from tests.fakes.requests import MemoryRequests


@pytest.fixture
def store(world: Any) -> MemoryRequests:
    return world.requests


def budgeted(world: Any, budget: str = "10 cpu-hours/month") -> None:
    lane = world.catalogue.models[MODEL]
    model = lane.model.model_copy(update={"retrain": Retrain(budget=budget)})
    world.catalogue.models[MODEL] = type(lane)(model, lane.folder, lane.data)


def trained(world: Any, hours: float) -> None:
    cost = TrainingCost(wall_seconds=1, cpu_seconds=hours * 3600, gpu_seconds=0, peak_memory_mb=1)
    world.ledger.append("trained", MODEL, actor="run", details={"cost": cost.model_dump()})


def test_what_waits_and_what_ended_last(mlcicd: Callable[..., Result], world: Any, store: MemoryRequests):
    assert mlcicd(world, "requests").output == "nothing was asked for\n"
    for number in range(15):
        store.add(Request(f"model:{MODEL}", "code", str(number), f"commit {number}", by="git_trigger"))
    store.change([1], expected="pending", new="dispatched", launch=Launch("k", ("a/b",)), answer="run k")
    store.change([2], expected="pending", new="merged", answer="into request 1")
    store.change(range(3, 16), expected="pending", new="refused", answer="the budget is spent")

    shown = mlcicd(world, "requests").output.splitlines()
    assert [line.split()[:2] for line in shown if line.startswith(("1 ", "2 "))] == [["1", "dispatched"]]
    assert len(shown) == 1 + 1 + 10
    assert len(mlcicd(world, "requests", "--all").output.splitlines()) == 1 + 15
    (first, *_rest) = json.loads(mlcicd(world, "requests", "--json").output)
    assert (first["id"], first["state"], first["answer"]) == (15, "refused", "the budget is spent")
    assert (first["scope"], first["cause"], first["by"]) == (f"model:{MODEL}", "code", "git_trigger")


def test_a_person_asks_for_a_run(mlcicd: Callable[..., Result], world: Any, store: MemoryRequests):
    options = ["--by", "asha", "--reason", "the bank asks"]

    told = mlcicd(world, "requests", "add", MODEL, *options).output
    mlcicd(world, "requests", "add", MODEL, "--cause", "hotfix", "--force", *options)
    mlcicd(world, "requests", "add", "orders", *options)
    mlcicd(world, "requests", "add", MODEL, "--cause", "rollback", "--version", "3", *options)

    assert told.startswith(f"request 1: model:{MODEL} (manual), asked for by asha: the bank asks")
    asked = [one.request for one in store.pending()]
    assert [(one.scope, one.cause, dict(one.evidence)) for one in asked] == [
        (f"model:{MODEL}", "manual", {}),
        (f"model:{MODEL}", "hotfix", {"force": True}),
        ("dataset:orders", "manual", {}),
        (f"model:{MODEL}", "rollback", {"version": 3}),
    ]
    assert {(one.by, one.reason) for one in asked} == {("asha", "the bank asks")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "there is no model or dataset 'nobody'; declared are: orders, shop_risk, shops"),
        (["orders", "--force"], "--force is of a model; orders is a dataset"),
        (["orders", "--cause", "rollback"], "--cause rollback is of a model"),
        ([MODEL, "--version", "3"], "--version is of --cause rollback"),
        ([MODEL, "--cause", "drift"], "'drift' is not one of"),
    ],
)
def test_what_cannot_be_asked_for(
    mlcicd: Callable[..., Result], world: Any, store: MemoryRequests, arguments: list[str], said: str
):
    found = mlcicd(world, "requests", "add", *arguments, "--by", "asha", "--reason", "x")

    assert found.exit_code == 2
    assert said in found.output
    assert store.pending() == []


def test_budgets_and_their_override(mlcicd: Callable[..., Result], world: Any):
    assert mlcicd(world, "requests", "budgets").output == "no model declares 'retrain.budget'\n"
    found = mlcicd(world, "requests", "override", MODEL, "--by", "asha", "--reason", "x")
    assert (found.exit_code, "has no budget to override" in found.output) == (2, True)
    budgeted(world)
    trained(world, 11)

    (before,) = json.loads(mlcicd(world, "requests", "budgets", "--json").output)
    assert (before["spent"], before["level"], before["overridden"]) == (11, "exhausted", "")
    found = mlcicd(world, "requests", "override", MODEL, "--by", "asha", "--reason", "the bank asks")

    assert f"OVERRIDE: {MODEL} may exceed 10 cpu-hours/month in " in found.output
    (after,) = json.loads(mlcicd(world, "requests", "budgets", "--json").output)
    assert after["overridden"] == "asha: the bank asks"
    assert world.ledger.entries(MODEL)[-1].action == "budget_overridden"
