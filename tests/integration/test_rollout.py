"""Rollouts under a constant load, with the real proxy, the real model servers and the real ledger."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlcicd_assets.assets.rollouts.driver import Rollouts
from mlcicd_assets.assets.rollouts.repair import repair
from mlcicd_assets.assets.rollouts.rollbacks import ask_rollback
from mlcicd_assets.release.rollout import State
from tests.fakes.load import constant_load
from tests.fakes.releases import MODEL
from tests.fakes.sites import INFER, Site

pytestmark = pytest.mark.xdist_group("rollout")
CANARY = {"strategy": "canary", "weights": [10, 50, 100], "bake": "3s", "minimum_requests": 30}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    try:
        made.begin(1).run(patience_s=60)
        yield made
    finally:
        made.close()


@pytest.fixture
def body(site: Site) -> bytes:
    return site.body()


def until(rollouts: Rollouts, done: Callable[[State], bool]) -> State:
    state = rollouts.run(patience_s=60, until=done)
    assert done(state), state
    return state


def test_a_canary_is_promoted_and_no_request_fails(site: Site, body: bytes) -> None:
    with constant_load(site.address, INFER, body) as load:
        load.wait(lambda seen: seen.answered["1"] >= 50)
        state = site.begin(2, **CANARY).run(patience_s=90)
        load.wait(lambda seen: seen.answered["2"] >= 200)

    assert state.phase == "promoted", state.reason
    assert load.failures == []
    assert site.routes() == {2: 100}
    assert [server.version for server in site.serving.status().servers] == [2]
    assert site.ledger.verify() > 5


def test_a_rollback_by_hand_is_in_force_within_a_second_and_no_request_fails(site: Site, body: bytes) -> None:
    warm = {"strategy": "blue_green", "keep_warm": "60s"}
    with constant_load(site.address, INFER, body) as load:
        rollouts = site.begin(2, **warm)
        until(rollouts, lambda state: state.phase == "watching")
        load.wait(lambda seen: seen.answered["2"] >= 100)

        moments: dict[str, tuple[float, int]] = {}
        asked = time.monotonic()

        def note(moment: str) -> None:
            moments.setdefault(moment, (time.monotonic() - asked, load.answered["2"]))

        by_hand = site.rollouts(observer=note, **warm)
        ask_rollback(by_hand, None, by="ada", reason="complaints")
        state = by_hand.run(patience_s=60)
        load.wait(lambda seen, so_far=load.answered["1"]: seen.answered["1"] >= so_far + 100)

    print({moment: round(when, 3) for moment, (when, _) in moments.items()})
    # whoever was being answered when the route moved is answered; nobody is after that
    assert load.answered["2"] - moments["after follow"][1] <= 4
    assert state.phase == "rolled_back"
    assert load.failures == []
    assert site.routes() == {1: 100}


def test_a_canary_that_is_killed_is_taken_back_and_no_user_notices(site: Site, body: bytes) -> None:
    import os
    import signal

    with constant_load(site.address, INFER, body) as load:
        rollouts = site.begin(2, **{**CANARY, "bake": "60s"})
        until(rollouts, lambda state: site.routes() == {1: 90, 2: 10} and not state.pending)
        load.wait(lambda seen: seen.answered["2"] >= 20)
        deadline = time.monotonic() + 60
        while not rollouts.state().ended:  # type: ignore[union-attr]
            assert time.monotonic() < deadline, rollouts.state()
            for server in site.serving.status().servers:
                if server.version == 2 and server.pid:
                    os.kill(server.pid, signal.SIGKILL)
            rollouts.advance()
            time.sleep(0.1)

    assert rollouts.state().phase == "rolled_back"  # type: ignore[union-attr]
    assert load.failures == []
    assert site.routes() == {1: 100}


def test_a_reboot_in_the_middle_gives_the_canary_its_weights_again(site: Site, body: bytes) -> None:
    rollouts = site.begin(2, **{**CANARY, "bake": "60s"})
    until(rollouts, lambda state: state.phase == "baking" and not state.pending)
    site.serving.stop()

    site.serving.start()
    repair(site.rollouts())

    assert site.routes() == {1: 90, 2: 10}
    rollouts.abort(by="ada", reason="enough")
    rollouts.run(patience_s=60)
    assert site.routes() == {1: 100}


def test_a_shadow_gets_copies_and_users_get_the_champion(site: Site, body: bytes) -> None:
    shadow = {"strategy": "shadow", "shadow": {"bake": "3s"}, "minimum_requests": 30}
    with constant_load(site.address, INFER, body) as load:
        rollouts = site.begin(2, **shadow)
        until(rollouts, lambda state: state.phase == "baking" and not state.pending)
        load.wait(lambda seen: seen.answered["1"] >= 100)
        assert load.answered["2"] == 0
        copied = {one.version: one.mirrored for one in site.serving.traffic("production", MODEL)}
        state = rollouts.run(patience_s=60)

    assert copied[2] > 0
    assert state.phase == "promoted", state.reason
    assert load.failures == []
