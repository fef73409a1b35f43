"""The receiver by real HTTP: what it takes, what it refuses, and what it leaves behind."""

import http.client
import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlcicd_assets.automation.hooks import server as serving
from mlcicd_assets.automation.hooks.application import Receiver, application
from mlcicd_assets.automation.hooks.messages import pushed
from resources.inbox_sqlite import SqliteInbox
from resources.protocols import ResourceError
from tests.fakes.hooks import NEW, STANDARD, github, standard

PUSH = json.dumps(
    {
        "ref": "refs/heads/main",
        "after": "a" * 40,
        "repository": {"full_name": "asha/models"},
        "pusher": {"email": "canary-payload@example.org"},
    }
).encode()
JSON = {"content-type": "application/json"}


class Site:
    """A receiver that runs, and its inbox."""

    def __init__(self, inbox: SqliteInbox, **limits: Any) -> None:
        self.inbox = inbox
        self.secrets = [NEW, STANDARD]
        self.server = serving.server(application(Receiver(inbox, lambda: self.secrets, **limits)))
        bound = serving.listener("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [bound]}, daemon=True)
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started and time.monotonic() < deadline:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)

    def post(
        self, body: bytes = PUSH, headers: dict[str, str] | None = None, path: str = "/hooks/git"
    ) -> Any:
        signed = github(body) if headers is None else headers
        return httpx.post(f"http://127.0.0.1:{self.port}{path}", content=body, headers={**JSON, **signed})


@pytest.fixture
def inbox(tmp_path: Path) -> SqliteInbox:
    return SqliteInbox(tmp_path / "inbox.db")


@pytest.fixture
def site(inbox: SqliteInbox) -> Iterator[Site]:
    made = Site(inbox, body_bytes=4096, body_s=0.3)
    yield made
    made.stop()


def test_a_signed_push_is_kept_and_nothing_of_its_payload_is_told(
    site: Site, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)

    answer = site.post()

    assert answer.status_code == 202
    (kept,) = site.inbox.waiting("git")
    assert (kept.sender, kept.key) == ("github", "d-1")
    assert kept.message == {"ref": "refs/heads/main", "commit": "a" * 40, "repository": "asha/models"}
    written = (tmp_path / "inbox.db").read_bytes()
    for text in (caplog.text, answer.text):
        assert NEW not in text
        assert "canary-payload" not in text
    assert NEW.encode() not in written
    assert b"canary-payload" not in written


def test_a_replay_is_answered_but_kept_once(site: Site) -> None:
    headers = github(PUSH)
    assert site.post(headers=headers).status_code == 202

    again = [site.post(headers=headers), site.post(headers={**headers, "x-github-delivery": "d-2"})]

    assert [(one.status_code, one.json()["status"]) for one in again] == [(200, "received before")] * 2
    assert len(site.inbox.waiting("git")) == 1


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, PUSH, 401),
        ({"x-hub-signature-256": "sha256=" + "0" * 64}, PUSH, 401),
        ({"x-gitlab-token": "not the secret of the hook"}, PUSH, 401),
        (github(b"{not json"), b"{not json", 400),
        (github(b"[1]"), b"[1]", 400),
        (github(b"\xff\xfe"), b"\xff\xfe", 400),
        (github(b"[" * 4000), b"[" * 4000, 400),
        (github(b"1" * 4097), b"1" * 4097, 413),
        ({**github(PUSH), "content-type": "application/x-www-form-urlencoded"}, PUSH, 415),
    ],
)
def test_what_is_refused(site: Site, headers: dict[str, str], body: bytes, status: int) -> None:
    assert site.post(body, headers).status_code == status
    assert site.inbox.waiting("git") == []


def test_a_body_without_a_length_is_bounded_too(site: Site) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    address = f"http://127.0.0.1:{site.port}/hooks/git"
    with suppress(httpx.WriteError):  # it hung up while we were still sending
        assert httpx.post(address, content=endless(), headers=JSON).status_code == 413
    assert site.post().status_code == 202


def test_a_slow_body_is_given_up(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    connection.putrequest("POST", "/hooks/git")
    for name, value in {**JSON, **github(PUSH), "content-length": str(len(PUSH))}.items():
        connection.putheader(name, value)
    connection.endheaders(PUSH[:10])

    assert connection.getresponse().status == 408
    connection.close()


@pytest.mark.parametrize("event", ["ping", "issues"])
def test_other_events_are_not_kept(site: Site, event: str) -> None:
    answer = site.post(headers={**github(PUSH), "x-github-event": event})

    assert answer.status_code == 200
    assert site.inbox.waiting("git") == []


def test_gitlab_by_token_and_by_signature(site: Site) -> None:
    project = {"path_with_namespace": "asha/models"}
    body = json.dumps({"object_kind": "push", "ref": "refs/heads/main", "project": project}).encode()
    event = {"x-gitlab-event": "Push Hook", "x-gitlab-event-uuid": "u-1"}

    first = site.post(body, {"x-gitlab-token": NEW, **event})
    second = site.post(body, {**standard(body, at=time.time()), **event})

    assert (first.status_code, second.status_code) == (202, 202)
    assert {one.message["repository"] for one in site.inbox.waiting("git")} == {"asha/models"}


def test_secrets_are_replaced_while_it_runs(site: Site) -> None:
    site.secrets = ["another secret of the hook"]
    assert site.post().status_code == 401
    site.secrets = ["another secret of the hook", NEW]
    assert site.post().status_code == 202


def test_data_that_landed_is_told_by_a_signature_with_a_time(site: Site) -> None:
    body = b'{"dataset": "payments", "partition": "2026-01-31"}'

    assert site.post(body, github(body), "/hooks/data").status_code == 401
    assert site.post(body, standard(body, at=time.time()), "/hooks/data").status_code == 202
    other = standard(body, at=time.time(), key="msg_2")
    assert site.post(body, other, "/hooks/data").status_code == 202
    bad = b'{"dataset": "../x"}'
    assert site.post(bad, standard(bad, at=time.time(), key="msg_3"), "/hooks/data").status_code == 400

    kept = site.inbox.waiting("data")
    assert [one.message for one in kept] == [{"dataset": "payments", "partition": "2026-01-31"}] * 2
    assert site.inbox.waiting("git") == []


def test_health(site: Site) -> None:
    site.post()

    answer = httpx.get(f"http://127.0.0.1:{site.port}/healthz")

    assert answer.json() == {"status": "ok", "waiting": 1}


def filled(inbox: SqliteInbox, size: int) -> int:
    """Deliveries of a size that went in until there was no room."""
    for number in itertools.count():
        try:
            inbox.put("git", "github", [f"{size}-{number}"], {"ref": "x" * size})
        except ResourceError:
            return number
    raise AssertionError


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    # given an inbox without room
    inbox = SqliteInbox(tmp_path / "inbox.db", limit_bytes=20 * 4096)
    kept = sum(filled(inbox, size) for size in (2000, 100, 0))
    site = Site(inbox)
    try:
        # when a push comes
        answer = site.post()
        # then the sender is told to come again, and not where the disk is
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "60"
        assert str(tmp_path) not in answer.text
    finally:
        site.stop()
    # and what was acknowledged is there, and what was not is not known as seen either
    roomy = SqliteInbox(tmp_path / "inbox.db")
    assert len(roomy.waiting("git")) == kept
    assert roomy.put("git", "github", ["d-1"], {})


def test_an_inbox_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    site = Site(SqliteInbox(tmp_path / "file" / "inbox.db"))
    try:
        assert site.post().status_code == 503
    finally:
        site.stop()


def test_senders_that_never_finish_do_not_keep_others_out(
    inbox: SqliteInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given as many connections as are allowed, each with half a header
    monkeypatch.setattr(serving, "CONNECTION_S", 0.5)
    monkeypatch.setattr(serving, "CONNECTIONS", 5)
    site = Site(inbox)
    held = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(30)]
    try:
        for one in held:
            with suppress(OSError):  # more than twice what is allowed: refused at once
                one.sendall(b"POST /hooks/git HTTP/1.1\r\nHost: x\r\n")
        # when somebody honest comes again and again
        deadline = time.monotonic() + 20
        status = 0
        while status != 202 and time.monotonic() < deadline:
            try:
                status = site.post().status_code
            except httpx.HTTPError:
                status = 0
        # then he gets through
        assert status in {200, 202}
    finally:
        for one in held:
            one.close()
        site.stop()


def test_a_push_without_the_fields_that_are_known_is_still_a_reason_to_look() -> None:
    assert pushed({"x-github-event": "push"}, {"ref": 5, "repository": "x", "after": "../.."}) == {
        "ref": "",
        "commit": "",
        "repository": "",
    }


def test_a_damaged_inbox_says_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "inbox.db").write_bytes(b"not a database, but long enough to be read as one" * 100)

    with pytest.raises(ResourceError, match=str(tmp_path)):
        SqliteInbox(tmp_path / "inbox.db").put("git", "github", ["d"], {})
