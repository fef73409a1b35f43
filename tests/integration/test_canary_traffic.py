"""What users see of a canary or a shadow that misbehaves: with the real proxy and stand-ins for servers."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from resources import processes
from resources.protocols import Release, ServerSettings
from resources.serving_local import LocalServing
from resources.traffic import Traffic, increase

pytestmark = pytest.mark.xdist_group("canary_traffic")
MODEL = "m"
INFER = f"/v2/models/{MODEL}/infer"


@dataclass
class Stack:
    """Version 1 with all of the traffic; `behaviour` of others is what they do to each prediction."""

    serving: LocalServing
    folder: Path
    client: httpx.Client

    def launch(self, version: int, behaviour: str = "well") -> None:
        package = self.folder / f"{version}" / "package"
        package.mkdir(parents=True, exist_ok=True)
        (package / "manifest.json").write_text("{}")
        (package / "behaviour").write_text(behaviour)
        (package.parent / "verdict.json").write_text("{}")
        release = Release(
            model=MODEL,
            version=version,
            digest=f"{version:064d}",
            package=package,
            verdict=package.parent / "verdict.json",
            environment="production",
            settings=ServerSettings(answer_within_s=0.3),
        )
        self.serving.launch(release, [b"key"])

    def ask(
        self, times: int, headers: Mapping[str, str] | None = None, content: bytes = b"{}"
    ) -> Counter[str]:
        """The versions that answered; any other status than 200 stands by its number."""
        answers = (self.client.post(INFER, content=content, headers=headers) for _ in range(times))
        return Counter(
            answer.headers["x-model-version"] if answer.status_code == 200 else f"status {answer.status_code}"
            for answer in answers
        )

    def traffic(self, version: int) -> Traffic:
        counted = self.serving.traffic("production", MODEL)
        return next(traffic for traffic in counted if traffic.version == version)

    def asked(self, version: int) -> list[dict[str, str]]:
        file = self.serving.folder / "servers" / "production" / MODEL / str(version) / "asked.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("canary")
    serving = LocalServing(folder / "serving", server_module="tests.fakes.model_server", ready_s=20)
    try:
        stack = Stack(serving, folder, httpx.Client())
        stack.launch(1)
        serving.route("production", MODEL, {1: 100})
        address = serving.status().addresses["production"]
        with httpx.Client(base_url=address, timeout=30) as client:
            stack.client = client
            yield stack
    finally:
        serving.stop()
        processes.end_all(serving.folder)


@pytest.fixture
def stack(running: Stack) -> Iterator[Stack]:
    running.serving.route("production", MODEL, {1: 100})
    yield running
    running.serving.start()
    running.serving.mirror("production", MODEL, None)
    running.serving.route("production", MODEL, {1: 100})
    for server in running.serving.status().servers:
        if server.version != 1:
            running.serving.retire("production", MODEL, server.version)


def until(done: Callable[[], bool], patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


# -- shares ----------------------------------------------------------------------------------------------


def test_a_split_is_kept_within_three_points(stack: Stack) -> None:
    stack.launch(2)
    stack.serving.route("production", MODEL, {1: 80, 2: 20})
    before = stack.traffic(2)
    answered = stack.ask(1_500)
    assert set(answered) == {"1", "2"}
    assert abs(answered["2"] / 1_500 - 0.20) <= 0.03
    assert increase(before, stack.traffic(2)).requests == answered["2"]


def test_a_user_stays_with_a_version_and_raising_its_share_moves_nobody_back(stack: Stack) -> None:
    stack.launch(2)
    shares = {}
    for share in (20, 50):
        stack.serving.route("production", MODEL, {1: 100 - share, 2: share}, sticky="x-user-id")
        first, again = (
            [next(iter(stack.ask(1, {"x-user-id": f"u{user}"}))) for user in range(200)] for _ in range(2)
        )
        assert first == again
        shares[share] = first
    assert 20 <= shares[20].count("2") <= 60
    assert shares[50].count("2") > shares[20].count("2")
    assert all(later == "2" for sooner, later in zip(shares[20], shares[50], strict=True) if sooner == "2")


# -- canaries that fail ----------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["fail", "crash", "slow 5"])
def test_users_see_nothing_of_a_canary_that_fails(stack: Stack, behaviour: str) -> None:
    stack.launch(2, behaviour)
    stack.serving.route("production", MODEL, {1: 50, 2: 50})
    before = stack.traffic(2)
    assert stack.ask(100) == {"1": 100}
    seen = increase(before, stack.traffic(2))
    assert seen.requests >= 20
    assert seen.errors == 0
    assert seen.hidden_errors == seen.faults >= 1


def test_the_last_step_is_stood_in_for_as_well(stack: Stack) -> None:
    stack.launch(2, "fail")
    stack.serving.route("production", MODEL, {2: 100}, fallback=1)
    assert stack.ask(50) == {"1": 50}


def test_a_large_batch_to_a_failing_canary_is_answered_as_well(stack: Stack) -> None:
    stack.launch(2, "fail")
    stack.serving.route("production", MODEL, {2: 100}, fallback=1)
    assert stack.ask(3, content=b"x" * 5_000_000) == {"1": 3}


def test_what_only_takes_long_is_not_failed_by_a_short_patience(stack: Stack) -> None:
    stack.launch(2, "slow 0.1")
    stack.serving.route("production", MODEL, {2: 100}, fallback=1)
    assert stack.ask(5, {"x-slow": "0.6"}) in ({"1": 5}, {"2": 5}, {"1": 4, "2": 1}, {"1": 1, "2": 4})


def test_a_slow_canary_shows_in_its_own_latency_alone(stack: Stack) -> None:
    stack.launch(2, "slow 0.1")
    stack.serving.route("production", MODEL, {1: 50, 2: 50})
    before = {version: stack.traffic(version) for version in (1, 2)}
    stack.ask(60)
    until(lambda: increase(before[2], stack.traffic(2)).latency.total >= 10)
    assert increase(before[2], stack.traffic(2)).latency_ms["p50"] >= 99
    assert increase(before[1], stack.traffic(1)).latency_ms.get("p50", 0) < 90


def test_without_anybody_to_stand_in_users_see_the_error(stack: Stack) -> None:
    stack.launch(2, "fail")
    stack.serving.route("production", MODEL, {2: 100})
    before = stack.traffic(2)
    assert stack.ask(10) == {"status 500": 10}
    seen = increase(before, stack.traffic(2))
    assert (seen.errors, seen.hidden_errors) == (10, 0)


# -- shadows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["slow 0.5", "fail", "crash"])
def test_users_see_and_wait_for_nothing_of_a_shadow(stack: Stack, behaviour: str) -> None:
    stack.launch(2, behaviour)
    stack.serving.mirror("production", MODEL, 2)
    before, began = stack.traffic(1), time.monotonic()
    assert stack.ask(100) == {"1": 100}
    assert time.monotonic() - began < 100 * 0.5
    assert increase(before, stack.traffic(1)).requests == 100
    until(lambda: stack.traffic(2).mirrored >= 10)
    assert stack.traffic(2).requests == 0


def test_a_copy_keeps_its_id_and_says_that_it_is_one(stack: Stack) -> None:
    stack.launch(2)
    stack.serving.mirror("production", MODEL, 2)
    request = "6fa4c1a2-0000-4000-8000-00000000000a"
    assert stack.ask(1, {"x-request-id": request}) == {"1": 1}
    until(lambda: any(asked["id"] == request for asked in stack.asked(2)))
    copy = next(asked for asked in stack.asked(2) if asked["id"] == request)
    assert copy["host"].split(":")[0].endswith("-shadow")
    original = next(asked for asked in stack.asked(1) if asked["id"] == request)
    assert "-shadow" not in original["host"]


def test_a_share_of_copies_is_a_share(stack: Stack) -> None:
    stack.launch(2)
    stack.serving.mirror("production", MODEL, 2, percent=25)
    stack.ask(600)
    until(lambda: stack.traffic(2).mirrored >= 90)
    assert abs(stack.traffic(2).mirrored / 600 - 0.25) <= 0.07
    stack.serving.mirror("production", MODEL, None)
    ended = stack.traffic(2).mirrored
    stack.ask(50)
    assert stack.traffic(2).mirrored <= ended + 1


# -- restarts --------------------------------------------------------------------------------------------


def test_a_restart_brings_shares_header_fallback_and_copies_back(stack: Stack) -> None:
    stack.launch(2, "fail")
    stack.launch(3)
    stack.serving.route("production", MODEL, {1: 50, 2: 50}, sticky="x-user-id")
    stack.serving.mirror("production", MODEL, 3)
    stack.serving.stop()
    stack.serving.start()
    assert stack.serving.routes("production", MODEL) == {1: 50, 2: 50}
    assert stack.serving.mirrors("production", MODEL) == {3: 100}
    assert stack.ask(40) == {"1": 40}
    stack.serving.route("production", MODEL, {1: 50, 3: 50}, sticky="x-user-id")
    assert len(set(stack.ask(20, {"x-user-id": "ada"}))) == 1
