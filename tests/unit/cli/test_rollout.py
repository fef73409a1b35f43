"""`mlcicd rollout` and `mlcicd rollback`, with real packages, verdicts and the real ledger."""

from typing import Any

import pytest

from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.cli.rollout import rollouts_of
from mlcicd_assets.release.rollout import Target
from tests.fakes.packages import build_package
from tests.fakes.releases import MODEL


@pytest.fixture
def two(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Version 1 is champion; version 2 is registered and warm at 10 % of the traffic."""
    # The faked target has one address for all versions: what version 2 answers cannot be compared here.
    monkeypatch.setitem(Rollouts.__init__.__kwdefaults__, "compared", lambda *_: None)
    first = world.champion()
    world.catalogue.models[MODEL].model.__dict__["rollout"] = world.catalogue.models[
        MODEL
    ].model.rollout.model_copy(update={"strategy": ["canary"]})
    package = build_package(world.folder / "second", seed=2)
    run = world.trained(package)
    second = world.registry.register(MODEL, package.digest, run, {})
    rollouts = rollouts_of(world.session, MODEL)
    stable = Target(version=1, digest=first.digest)
    rollouts.begin(Target(version=2, digest=second.digest, run=run), stable, "run 2")
    rollouts.run(patience_s=20, until=lambda state: state.phase == "baking" and not state.pending)
    return world


def test_status_shows_weights_step_and_time(two: Any, mlcicd: Any) -> None:
    told = mlcicd(two, "rollout", "status", MODEL).stdout

    assert "the rollout of version 2 is baking, step 1 of 3 (canary 10 %)" in told
    assert "traffic: version 1 90 %, version 2 10 %" in told
    assert "time left: at least" in told


def test_the_whole_status_shows_it_too(two: Any, mlcicd: Any) -> None:
    two.validated()
    report = mlcicd.json(two, "status", MODEL)["models"][0]

    assert report["rollout"]["weights"] == {"1": 90, "2": 10}
    assert "beside it a rollout: version 1 90 %, version 2 10 %" in mlcicd(two, "status", MODEL).stdout


def test_advance_measures(two: Any, mlcicd: Any) -> None:
    two.serving.count("production", MODEL, 1, requests=900)
    two.serving.count("production", MODEL, 2, requests=100, failed_attempts=50)

    mlcicd(two, "rollout", "advance", MODEL)
    report = mlcicd.json(two, "rollout", "status", MODEL)

    assert (report["phase"], report["analysis"]) == ("rolling_back", "failed")
    assert "errors: 50 of 100 requests" in report["reason"]
    assert "champion: version 1" in mlcicd(two, "rollout", "advance", MODEL, "--wait").stdout
    assert mlcicd.json(two, "rollout", "status", MODEL)["phase"] == "rolled_back"


def test_pause_resume_and_abort_say_who_and_why(two: Any, mlcicd: Any) -> None:
    by = ["--by", "ada", "--reason", "lunch"]

    assert "is held" in mlcicd(two, "rollout", "pause", MODEL, *by).stdout
    assert "is baking" in mlcicd(two, "rollout", "resume", MODEL, *by).stdout
    mlcicd(two, "rollout", "abort", MODEL, *by)
    mlcicd(two, "rollout", "advance", MODEL, "--wait")

    actors = {line.action: line.actor for line in two.ledger.entries(MODEL)}
    assert actors["rollout_held"] == actors["rollout_resumed"] == actors["rollback_began"] == "ada"
    assert two.serving.shares["production", MODEL] == {1: 100}
    assert "version 2 may be rolled out once more" in mlcicd(two, "rollout", "retry", MODEL, *by).stdout


def test_what_does_not_go_is_refused_with_the_state(two: Any, mlcicd: Any) -> None:
    refused = mlcicd(two, "rollout", "resume", MODEL, "--by", "ada", "--reason", "x")

    assert refused.exit_code == 1
    assert "is baking" in refused.stderr


def promoted(world: Any) -> None:
    rollouts = rollouts_of(world.session, MODEL)
    for _ in range(2):
        state = rollouts.state()
        assert state is not None
        world.serving.count("production", MODEL, 1, requests=1000, latencies_ms={2: 1000}, scores={"a": 1000})
        world.serving.count("production", MODEL, 2, requests=1000, latencies_ms={2: 1000}, scores={"a": 1000})
        over = state.plan.model_copy(
            update={"steps": tuple(one.model_copy(update={"bake_s": 0}) for one in state.plan.steps)}
        )
        rollouts.keep(state, state.model_copy(update={"plan": over, "revision": state.revision + 1}), "test")
        rollouts.advance()
        rollouts.run(patience_s=20, until=lambda now: not now.pending)


def test_rollback_goes_back_and_is_idempotent(two: Any, mlcicd: Any) -> None:
    promoted(two)
    assert two.ledger.pointer(f"champion/{MODEL}") == "2"
    asked = ["rollback", MODEL, "--by", "ada", "--reason", "complaints"]

    assert mlcicd(two, *asked).exit_code == 0
    again = mlcicd(two, *asked)

    assert two.ledger.pointer(f"champion/{MODEL}") == "1"
    assert two.serving.shares["production", MODEL] == {1: 100}
    assert "version 1 is champion already" in again.stdout
    line = next(line for line in two.ledger.entries(MODEL) if line.action == "rolled_back")
    assert (line.actor, line.reason) == ("ada", "complaints")
    two.ledger.verify()


def test_rollback_to_a_version_whose_bytes_changed_is_refused(two: Any, mlcicd: Any) -> None:
    promoted(two)
    rollouts = rollouts_of(two.session, MODEL)
    state = rollouts.state()
    assert state is not None
    over = state.plan.model_copy(update={"keep_warm_s": 0.0, "watch_s": 0.0})
    rollouts.keep(state, state.model_copy(update={"plan": over, "revision": state.revision + 1}), "test")
    rollouts.run(patience_s=20)
    run = two.registry.get(MODEL, 1).run_id
    (two.tracking.root / run / "package" / "features.py").write_text("import os\n")

    refused = mlcicd(two, "rollback", MODEL, "--by", "ada", "--reason", "complaints")

    assert refused.exit_code == 1
    assert "features.py" in refused.stderr
    assert two.ledger.pointer(f"champion/{MODEL}") == "2"


def test_an_empty_reason_is_bad_usage(two: Any, mlcicd: Any) -> None:
    assert mlcicd(two, "rollback", MODEL, "--by", "ada", "--reason", " ").exit_code == 2
