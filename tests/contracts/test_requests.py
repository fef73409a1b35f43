"""What every store of requests keeps to, whatever stands behind it."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from resources.protocols import Request, Requests, ResourceError
from resources.request import Launch, RequestChange
from resources.requests_sql import SqlRequests
from tests.fakes.databases import database
from tests.fakes.requests import MemoryRequests

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path / "new" / "requests.db") as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def requests(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Requests]:
    if request.param == "memory":
        yield MemoryRequests(clock)
        return
    with database(request.param, tmp_path / "new" / "requests.db") as made:
        yield SqlRequests(made, clock)


def asked(fingerprint: str = "a", **fields: object) -> Request:
    values = {"scope": "model:m", "cause": "code", "reason": "a commit"} | fields
    return Request(fingerprint=fingerprint, **values)  # type: ignore[arg-type]


def test_a_request_comes_back_as_it_was_given(requests: Requests) -> None:
    whole = asked(evidence={"commits": ["ü", 1, None]}, tier="fast", by="asha")

    assert requests.add(whole)

    (kept,) = requests.pending()
    assert kept.request == whole
    assert (kept.id, kept.state, kept.run, kept.answer, kept.key) == (1, "pending", "", "", "")
    assert kept.at == kept.changed_at == "2026-01-31T12:00:00+00:00"
    assert requests.history() == [kept]
    assert requests.dispatched() == []


def test_the_same_is_kept_once_however_it_ended(requests: Requests) -> None:
    assert requests.add(asked("a", reason="one"))
    assert not requests.add(asked("a", reason="another sentence"))
    requests.change([1], expected="pending", new="done")

    assert not requests.add(asked("a"))
    assert requests.add(asked("b"))
    assert requests.add(asked("a", cause="data"))
    assert requests.add(asked("a", scope="model:n"))
    assert [kept.request.reason for kept in requests.history()] == ["a commit"] * 3 + ["one"]


def test_evidence_that_is_no_json_is_refused_and_nothing_kept(requests: Requests) -> None:
    with pytest.raises((ValueError, TypeError)):
        requests.add(asked(evidence={"share": float("nan")}))

    assert requests.history() == []


def test_only_those_in_the_expected_state_move(requests: Requests, clock: Clock) -> None:
    for name in "abc":
        requests.add(asked(name))
    requests.change([2], expected="pending", new="refused", answer="over budget")
    clock.now += timedelta(hours=1)

    assert requests.change([1, 2, 3, 4], expected="pending", new="dispatched", answer="on its way") == [1, 3]
    assert requests.change([1, 2, 3], expected="pending", new="done") == []

    assert [(one.id, one.answer) for one in requests.dispatched()] == [(1, "on its way"), (3, "on its way")]
    assert {one.changed_at for one in requests.dispatched()} == {"2026-01-31T13:00:00+00:00"}
    assert requests.history(2)[1].answer == "over budget"


def test_what_is_left_empty_stays(requests: Requests) -> None:
    requests.add(asked())
    requests.change([1], expected="pending", new="dispatched", run="run-1", answer="started")

    requests.change([1], expected="dispatched", new="done")

    (kept,) = requests.history()
    assert (kept.run, kept.answer) == ("run-1", "started")


def test_launches_are_kept_in_order_and_the_newest_is_compared(requests: Requests) -> None:
    first = Launch("key-1", ("d/raw_data", "d/features"), ("2026-01", "2026-03"))
    second = Launch("key-2", ("m/trained_model",))
    requests.add(asked())

    assert requests.change([1], expected="pending", new="dispatched", launch=first, expected_key="") == [1]
    assert requests.change(
        [1], expected="dispatched", new="dispatched", launch=second, expected_key="key-1"
    ) == [1]
    # another that decided after the first run finds that it was decided already
    assert not requests.change(
        [1], expected="dispatched", new="dispatched", launch=second, expected_key="key-1"
    )

    (kept,) = requests.dispatched()
    assert kept.launches == (first, second)
    assert kept.key == "key-2"


def test_when_a_scope_was_last_dispatched(requests: Requests, clock: Clock) -> None:
    for name in "ab":
        requests.add(asked(name))
    requests.add(asked(scope="dataset:d"))
    requests.change([1], expected="pending", new="dispatched")
    clock.now += timedelta(hours=1)
    requests.change([2], expected="pending", new="dispatched")
    clock.now += timedelta(hours=1)
    requests.change([2], expected="dispatched", new="dispatched", run="run-1")
    requests.change([3], expected="pending", new="refused")

    assert requests.last_dispatched() == {"model:m": "2026-01-31T13:00:00+00:00"}


def test_more_ids_than_a_statement_takes(requests: Requests) -> None:
    for number in range(3):
        requests.add(asked(str(number)))

    assert requests.change(range(1, 2_000), expected="pending", new="merged") == [1, 2, 3]


def test_changes_are_made_in_order_and_merge_only_into_what_moved(requests: Requests) -> None:
    launch = Launch("key-1", ("m/trained_model",))
    assert requests.add_all([asked(name) for name in "abcdaab"]) == 4
    requests.change([3], expected="pending", new="refused")

    moved = requests.apply(
        [
            RequestChange((1,), "pending", "dispatched", launch=launch, expected_key="", merged=(2, 3)),
            RequestChange((3,), "pending", "dispatched", launch=launch, merged=(4,)),
            RequestChange((1,), "dispatched", "done", "done by one run", expected_key="key-1"),
        ]
    )

    assert moved == [[1], [], [1]]
    assert [one.state for one in requests.history()[::-1]] == ["done", "merged", "refused", "pending"]
    assert requests.history()[2].answer == "into request 1"
    assert requests.apply([]) == []
    assert requests.add_all([]) == 0


def add_all(url: str, names: list[str]) -> list[str]:
    store = SqlRequests(url)
    return [name for name in names if store.add(asked(name))]


def claim_all(url: str, ids: list[int]) -> list[int]:
    store = SqlRequests(url)
    return [one for one in ids if store.change([one], expected="pending", new="dispatched")]


def test_many_processes_at_once_lose_nothing_and_keep_nothing_twice(url: str) -> None:
    # given processes that open a store that is not there yet, with requests of their own and the same ones
    names = [[f"{who}-{number}" for number in range(5)] + ["x", "y", "z"] for who in range(4)]

    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        added = list(pool.map(add_all, [url] * 4, names))

        kept = SqlRequests(url).pending()
        assert sorted(one.request.fingerprint for one in kept) == sorted(
            {name for some in names for name in some}
        )
        assert sorted(name for some in added for name in some) == sorted(
            one.request.fingerprint for one in kept
        )

        ids = [one.id for one in kept]
        claimed = list(pool.map(claim_all, [url] * 4, [ids] * 4))
    assert sorted(one for some in claimed for one in some) == ids


@pytest.mark.parametrize("place", ["sqlite:////proc/requests.db", "sqlite:////dev/null/requests.db"])
def test_a_place_that_cannot_be_written_is_named(place: str) -> None:
    with pytest.raises(ResourceError, match=rf"{place}.*MLCICD_REQUESTS_URL"):
        SqlRequests(place).add(asked())


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ResourceError) as caught:
        SqlRequests("postgresql+nodriver://user:s3cret@host/db").pending()

    assert "s3cret" not in str(caught.value)
