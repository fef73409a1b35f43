"""What every inbox keeps to."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.inbox_sqlite import REPLAY_WINDOW, SqliteInbox
from resources.protocols import Inbox
from tests.fakes.inbox import MemoryInbox


@pytest.fixture(params=["memory", "sqlite"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Inbox:
    return MemoryInbox() if request.param == "memory" else SqliteInbox(tmp_path / "new" / "inbox.db")


def test_nothing_waits_at_first(inbox: Inbox) -> None:
    assert inbox.waiting("git") == []
    inbox.done([])


def test_deliveries_wait_in_their_lane_until_they_were_acted_on(inbox: Inbox) -> None:
    assert inbox.put("git", "github", ["d-1", "body a"], {"ref": "refs/heads/main"})
    assert inbox.put("git", "github", ["d-2", "body b"], {"ref": "refs/heads/ö"})
    assert inbox.put("data", "standard-webhooks", ["d-1"], {"dataset": "payments"})

    first, second = inbox.waiting("git")
    assert (first.key, first.sender, first.message) == ("d-1", "github", {"ref": "refs/heads/main"})
    assert second.message == {"ref": "refs/heads/ö"}
    inbox.done([first])
    inbox.done([first])

    assert [one.key for one in inbox.waiting("git")] == ["d-2"]
    assert [one.message for one in inbox.waiting("data")] == [{"dataset": "payments"}]


@pytest.mark.parametrize("keys", [["d-1"], ["d-9", "body a"], ["d-1", "body a"]])
def test_one_known_key_makes_a_replay_also_after_it_was_acted_on(inbox: Inbox, keys: list[str]) -> None:
    inbox.put("git", "github", ["d-1", "body a"], {})
    inbox.done(inbox.waiting("git"))

    assert not inbox.put("git", "github", keys, {})
    assert inbox.waiting("git") == []
    assert inbox.put("git", "gitlab", keys, {})  # another sender's own ids


def test_an_inbox_is_of_every_process_that_opens_it(tmp_path: Path) -> None:
    def send(number: int) -> None:
        kept.append(SqliteInbox(tmp_path / "inbox.db").put("git", "github", [f"d-{number % 10}"], {}))

    kept: list[bool] = []
    threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(kept) == [False] * 10 + [True] * 10
    assert len(SqliteInbox(tmp_path / "inbox.db").waiting("git")) == 10


def test_what_was_acted_on_is_forgotten_after_the_window_and_what_waits_is_not(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    inbox = SqliteInbox(tmp_path / "inbox.db", clock=lambda: now)
    inbox.put("git", "github", ["acted on"], {})
    inbox.done(inbox.waiting("git"))
    inbox.put("git", "github", ["waits"], {})

    now += REPLAY_WINDOW + timedelta(seconds=1)

    assert inbox.put("git", "github", ["acted on"], {})
    assert [one.key for one in inbox.waiting("git")] == ["waits", "acted on"]
