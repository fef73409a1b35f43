"""A request of a commit waits until the commit is here."""

from typing import Any, cast

import dagster as dg
import pytest

from mlcicd_assets.automation.requests.sensor import requests_sensor
from mlcicd_assets.automation.triggers.checkout import waiting_for_checkout
from resources.protocols import Cause, KeptRequest, Repository, Request
from tests.fakes.repositories import CheckedOut
from tests.fakes.request_worlds import World

OLD, NOW, NEXT, GONE = "a" * 40, "b" * 40, "c" * 40, "d" * 40


def kept(
    number: int, commit: str, model: str = "keen", branch: str = "main", cause: Cause = "code"
) -> KeptRequest:
    request = Request(f"model:{model}", cause, commit, "why", {"commit": commit, "branch": branch})
    return KeptRequest(number, request, "2026-01-31T12:00:00", "pending", "2026-01-31T12:00:00")


def waiting(*pending: KeptRequest, head: str | None = NOW) -> dict[int, str]:
    return waiting_for_checkout(pending, cast("Repository", CheckedOut((OLD, NOW, NEXT), head)))


@pytest.mark.parametrize("commit", [OLD, NOW])
def test_what_is_checked_out_or_before_it_can_run(commit: str) -> None:
    assert waiting(kept(1, commit)) == {}


def test_what_is_not_here_waits_and_says_what_to_do() -> None:
    said = waiting(kept(1, NEXT))[1]

    told = f"waits for commit {NEXT[:12]} of main: here {NOW[:12]} is checked out"
    assert said == f"{told}; bring it here with 'mlcicd pull'"


def test_a_commit_that_was_rewritten_away_goes_with_the_newest() -> None:
    assert waiting(kept(1, GONE), kept(2, NOW)) == {}
    assert set(waiting(kept(1, NOW), kept(2, NEXT))) == {1, 2}


def test_branches_and_models_wait_for_themselves() -> None:
    assert set(waiting(kept(1, NEXT, branch="release"), kept(2, NOW), kept(3, NEXT, model="calm"))) == {1, 3}


def test_only_commits_wait() -> None:
    assert waiting(kept(1, NEXT, cause="drift")) == {}


def test_where_nobody_knows_what_is_checked_out_it_waits() -> None:
    assert "nobody knows" in waiting(kept(1, NOW), head=None)[1]


def test_fifty_models_of_one_commit_are_one_question() -> None:
    repository = CheckedOut((OLD, NOW, NEXT), NOW)
    pending = [kept(number, NEXT, f"model{number}") for number in range(50)]

    assert len(waiting_for_checkout(pending, cast("Repository", repository))) == 50
    assert repository.asked == 1


def test_the_dispatcher_holds_it_until_the_commit_is_here() -> None:
    # given a model that is stale, and a request of a commit that is not here
    world = World()
    world.fresh()
    world.edit("keen/trained_model", "2")
    world.requests.add(Request("model:keen", "code", NEXT, "why", {"commit": NEXT, "branch": "main"}))
    repository = CheckedOut((OLD, NOW, NEXT), NOW)

    def tick() -> Any:
        sensor = requests_sensor(lambda _instance: world.blueprint, lambda: world.now)
        return sensor(dg.build_sensor_context(instance, resources=world.resources(repository=repository)))

    with dg.DagsterInstance.ephemeral() as instance:
        # when the dispatcher looks, then it waits, and says for what
        assert not tick().run_requests
        (one,) = world.requests.pending()
        assert "waits for commit" in one.answer

        # and when the commit comes, it runs
        repository.head = NEXT
        assert [str(key) for key in tick().run_requests[0].asset_selection][:1] == [
            str(dg.AssetKey(["keen", "trained_model"]))
        ]
