"""Several workers on one model at once, each a process of its own: releases, rollbacks, and their drivers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mlcicd_assets.assets.rollouts.driver import RolloutRefused
from mlcicd_assets.release.history import PROMOTED, ROLLED_BACK
from tests.fakes import release_worker
from tests.fakes.load import constant_load
from tests.fakes.release_worker import REFUSED
from tests.fakes.releases import MODEL
from tests.fakes.sites import INFER, Site

pytestmark = pytest.mark.xdist_group("release_races")
BLUE_GREEN: dict[str, Any] = {"strategy": "blue_green", "keep_warm": "0s"}
CANARY: dict[str, Any] = {
    "strategy": "canary",
    "weights": [50, 100],
    "bake": "0s",
    "keep_warm": "0s",
    "minimum_requests": 1,
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", stand_ins=True)
    try:
        made.begin(1, **BLUE_GREEN).run(patience_s=60)
        yield made
    finally:
        made.close()


def moves(site: Site, action: str, version: int) -> int:
    return sum((line.action, line.version) == (action, version) for line in site.ledger.entries(MODEL))


def test_of_two_releases_at_once_one_goes_on_and_the_other_is_told(site: Site) -> None:
    with constant_load(site.address, INFER, site.body(), clients=2, per_second=100) as load:
        racers = {
            version: release_worker.start(site.folder, "release", version, BLUE_GREEN) for version in (2, 3)
        }
        first = {version: str(worker.moment()) for version, worker in racers.items()}
        winner = next(version for version, told in first.items() if told == "kept launching")
        loser = 5 - winner
        assert first[loser].startswith(REFUSED)
        assert f"version {winner} is launching" in first[loser] or "moved" in first[loser]

        assert racers[winner].finish() == 0
        racers[loser].moment()

    assert site.champion == winner
    assert (moves(site, PROMOTED, winner), moves(site, PROMOTED, loser)) == (1, 0)
    assert site.servers() == {winner: "ready"}
    assert load.failures == []
    assert site.ledger.verify() > 5


def test_run_sensor_and_command_drive_one_rollout_and_it_happens_once(site: Site) -> None:
    with constant_load(site.address, INFER, site.body(), clients=2, per_second=100) as load:
        began = release_worker.start(site.folder, "release", 2, CANARY)
        assert began.moment() == "kept launching"
        others = [release_worker.start(site.folder, "go on", None, CANARY) for _ in range(2)]
        for other in others:
            assert other.moment() == "before launch"
        with ThreadPoolExecutor(3) as pool:
            ended = list(pool.map(lambda worker: worker.finish(), [began, *others]))

    assert ended == [0, 0, 0]
    state = site.rollouts().state()
    assert state is not None
    assert state.phase == "promoted"
    assert moves(site, PROMOTED, 2) == 1
    assert load.failures == []
    assert (site.routes(), site.servers()) == ({2: 100}, {2: "ready"})
    assert site.ledger.verify() > 5


def test_a_release_during_a_rollback_waits_for_its_end(site: Site) -> None:
    warm = {**BLUE_GREEN, "keep_warm": "1h"}
    site.begin(2, **warm).run(patience_s=60, until=lambda state: state.phase == "watching")
    worker = release_worker.start(site.folder, "rollback", None, warm)
    refused = []
    while (name := worker.moment()) is not None:
        if name != "kept rolled_back":
            with pytest.raises(RolloutRefused, match=r"version 2 is rolling back.*has to wait") as caught:
                site.begin(3, **BLUE_GREEN)
            refused.append(caught)
        worker.go_on()

    assert len(refused) >= 10
    assert (site.champion, moves(site, ROLLED_BACK, 1)) == (1, 1)
    assert site.begin(3, **BLUE_GREEN).run(patience_s=60).phase == "promoted"
    assert (site.routes(), site.servers()) == ({3: 100}, {3: "ready"})
    assert site.ledger.verify() > 5
