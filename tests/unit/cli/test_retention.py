"""Deleting by rule: shown first, never what is needed, finished after a kill, and never across a decision."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlcicd_assets.assets import retention
from mlcicd_assets.assets.decisions import Desk, decide
from mlcicd_assets.assets.retention import Store, apply_model, plan_model
from mlcicd_assets.cli.retention import store_of
from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.release.envelope import Refused
from tests.fakes.packages import build_package

LATER = datetime(2027, 1, 1, tzinfo=UTC)
BECAUSE = ("--by", "ada", "--reason", "kept for the audit")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    folder = tmp_path_factory.mktemp("packages")
    return [build_package(folder / str(seed) / "package", seed=seed) for seed in range(2, 4)]


@pytest.fixture
def aged(make_world: Callable[..., Any], packages: list[Package]) -> Any:
    """Version 1 is champion; 2 was a challenger once, 3 is the last; all old, of high risk."""
    world = make_world(risk="high")
    world.champion()
    for package in packages:
        run = world.trained(package)
        version = world.registry.register("shop_risk", package.digest, run, {})
        world.ledger.append(
            "registered", "shop_risk", actor="t", version=version.version, digest=package.digest
        )
        retention_mirror(world)
    lane = world.catalogue.models["shop_risk"]
    rule = lane.model.retention.model_copy(update={"keep_versions": 1})
    model = lane.model.model_copy(update={"retention": rule})
    world.catalogue.models["shop_risk"] = replace(lane, model=model)
    return world


def retention_mirror(world: Any) -> None:
    from mlcicd_assets.assets.lifecycle import mirror

    mirror(world.ledger, world.registry, "shop_risk", "t")


def store(world: Any) -> Store:
    return replace(store_of(world.session), clock=lambda: LATER)


def lane(world: Any) -> Any:
    return world.catalogue.models["shop_risk"]


def numbers(world: Any) -> list[int]:
    return sorted(version.version for version in world.registry.versions("shop_risk"))


def test_what_nothing_needs_goes_and_everything_else_says_why_it_stays(aged: Any) -> None:
    plan = plan_model(store(aged), lane(aged))

    assert [(item.kind, item.version) for item in plan.delete] == [("version", 2)]
    reasons = {item.version: item.reason for item in plan.keep if item.kind == "version"}
    assert reasons == {1: "champion", 3: "challenger"}

    done = apply_model(store(aged), lane(aged), plan, "test")

    assert [item.version for item in done] == [2]
    assert numbers(aged) == [1, 3]
    assert len(aged.tracking.runs) == 2
    assert [line.action for line in aged.ledger.entries("shop_risk")][-3:] == [
        "retention_planned",
        "deletion_began",
        "deleted",
    ]
    assert aged.ledger.verify()
    assert apply_model(store(aged), lane(aged), plan, "test") == []


@pytest.mark.parametrize("step", ["registry.delete_version", "tracking.delete"])
def test_a_deletion_that_was_cut_short_is_finished_by_the_next(
    aged: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, name = step.split(".")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(getattr(aged, where), name, killed)
        with pytest.raises(KeyboardInterrupt):
            apply_model(store(aged), lane(aged), plan_model(store(aged), lane(aged)), "test")

    done = apply_model(store(aged), lane(aged), plan_model(store(aged), lane(aged)), "test")

    assert [item.version for item in done] == [2]
    assert numbers(aged) == [1, 3]
    assert len(aged.tracking.runs) == 2


def desk(world: Any) -> Desk:
    return Desk(lane(world), world.registry, world.tracking, world.ledger, world.keys, datetime.now(UTC))


def approve(world: Any) -> None:
    decide(desk(world), 2, "approve", by="ada", reason="fine", expires="7d")


def test_an_approval_between_plan_and_deletion_keeps_its_artifact(aged: Any) -> None:
    here = replace(store(aged), clock=lambda: datetime.now(UTC) + timedelta(days=1))
    old = lane(aged).model.retention.model_copy(update={"keep_versions": 1, "keep_days": 1})
    aged.catalogue.models["shop_risk"] = replace(
        lane(aged), model=lane(aged).model.model_copy(update={"retention": old})
    )
    plan = plan_model(here, lane(aged))
    assert [item.version for item in plan.delete] == [2]

    approve(aged)

    assert apply_model(here, lane(aged), plan, "test") == []
    assert numbers(aged) == [1, 2, 3]


def test_an_approval_in_the_last_instant_wins_by_the_ledger(
    aged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_model(store(aged), lane(aged))
    looked = retention.plan_model

    def look_and_be_overtaken(*arguments: Any) -> Any:
        found = looked(*arguments)
        approve(aged)  # after the last look, before the ledger's line
        return found

    monkeypatch.setattr(retention, "plan_model", look_and_be_overtaken)

    assert apply_model(store(aged), lane(aged), plan, "test") == []
    assert numbers(aged) == [1, 2, 3]


def test_an_approval_after_the_deletion_began_is_refused(aged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = aged.registry.delete_version
    refused: list[str] = []

    def decide_late(model: str, version: int) -> None:
        with pytest.raises(Refused, match="being deleted by retention") as caught:
            approve(aged)
        refused.append(str(caught.value))
        real(model, version)

    monkeypatch.setattr(aged.registry, "delete_version", decide_late)
    apply_model(store(aged), lane(aged), plan_model(store(aged), lane(aged)), "test")

    assert refused
    assert aged.ledger.entries("shop_risk")[-1].action == "deleted"
    assert not any(line.action == "approved" for line in aged.ledger.entries("shop_risk"))


def test_a_pinned_version_stays(aged: Any, mlcicd: Any) -> None:
    assert "is pinned" in mlcicd(aged, "pin", "shop_risk", "2", *BECAUSE).stdout
    assert plan_model(store(aged), lane(aged)).delete == ()
    assert "already" in mlcicd(aged, "pin", "shop_risk", "2", *BECAUSE).stdout
    mlcicd(aged, "unpin", "shop_risk", "2", *BECAUSE)
    assert [item.version for item in plan_model(store(aged), lane(aged)).delete] == [2]
    assert mlcicd(aged, "pin", "shop_risk", "9", *BECAUSE).exit_code == 2


def test_the_command_shows_first_and_applies_only_what_was_shown(aged: Any, mlcicd: Any) -> None:
    shown = mlcicd(aged, "retention", "shop_risk")
    assert "nothing was deleted" in shown.stdout

    changed = mlcicd(aged, "retention", "shop_risk", "--apply", "--plan", "0123456789abcdef")
    assert changed.exit_code == 1
    assert "look at it again" in changed.stderr
    assert numbers(aged) == [1, 2, 3]
