"""Our comment on a pull request, made once and updated in place: against a forge over real HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from resources.protocols import ResourceError
from resources.review_comments import forge_of, post

MARKER = "<!-- mlcicd-report -->"
TOKEN = "planted-token-9f3c"


class Forge(ThreadingHTTPServer):
    """As much of GitHub and GitLab as is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.comments: list[dict[str, Any]] = []
        self.me: str | None = None  # None: the token may not ask
        self.status = 0  # answered to everything instead
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def comment(self, body: str, user: str, kind: str = "User") -> None:
        known = {"login": user, "username": user, "type": kind}
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": known, "author": known})


class Handler(BaseHTTPRequestHandler):
    server: Forge

    def _answer(self) -> None:
        forge, path = self.server, urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        forge.asked.append((self.command, path.path))
        tokens = [self.headers.get(name) for name in ("authorization", "private-token")]
        allowed = {TOKEN, f"Bearer {TOKEN}"} & set(tokens)
        if forge.status or not allowed:
            return self._send(forge.status or 401, {"message": f"no, not with {TOKEN}"})
        if path.path == "/user":
            return self._send(200, {"login": forge.me}) if forge.me else self._send(403, {})
        if self.command == "GET":
            query = {name: int(value[0]) for name, value in parse_qs(path.query).items()}
            first = (query["page"] - 1) * query["per_page"]
            return self._send(200, forge.comments[first : first + query["per_page"]])
        if self.command == "POST":
            forge.comment(body["body"], forge.me or "github-actions[bot]", "Bot")
            return self._send(201, {"id": len(forge.comments), "html_url": "https://forge/new"})
        number = int(path.path.rsplit("/", 1)[1])
        forge.comments[number - 1]["body"] = body["body"]
        return self._send(200, {"id": number, "html_url": f"https://forge/{number}"})

    do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815  the standard library's names

    def _send(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Forge]:
    with Forge() as forge:
        thread = threading.Thread(target=forge.serve_forever, daemon=True)
        thread.start()
        yield forge
        forge.shutdown()


@pytest.fixture
def github(server: Forge, tmp_path) -> dict[str, str]:
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
    return {
        "GITHUB_API_URL": server.address,
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_REPOSITORY": "ada/shop",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
    }


def test_the_first_report_is_a_new_comment_and_the_second_updates_it(server: Forge, github):
    server.comment("looks good", "grace")
    first = post(forge_of(github), f"{MARKER}\none", MARKER)
    second = post(forge_of(github), f"{MARKER}\ntwo", MARKER)
    assert (first.updated, second.updated) == (False, True)
    assert [one["body"] for one in server.comments] == ["looks good", f"{MARKER}\ntwo"]
    assert ("PATCH", "/repos/ada/shop/issues/comments/2") in server.asked
    assert ("POST", "/repos/ada/shop/issues/7/comments") in server.asked


def test_a_comment_of_somebody_else_that_begins_alike_is_left_alone(server: Forge, github):
    server.comment(f"{MARKER}\nforged", "mallory")
    assert not post(forge_of(github), f"{MARKER}\none", MARKER).updated
    assert server.comments[0]["body"] == f"{MARKER}\nforged"
    server.me = "ada"
    server.comment(f"{MARKER}\nanother bot's", "renovate[bot]", "Bot")
    assert not post(forge_of(github), f"{MARKER}\none", MARKER).updated


def test_our_comment_is_found_behind_many_others(server: Forge, github):
    for number in range(230):
        server.comment(f"comment {number}", "grace")
    post(forge_of(github), f"{MARKER}\none", MARKER)
    assert post(forge_of(github), f"{MARKER}\ntwo", MARKER).updated
    assert len(server.comments) == 231


def test_gitlab_has_notes(server: Forge):
    environment = {
        "CI_API_V4_URL": server.address,
        "CI_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_IID": "3",
        "GITLAB_TOKEN": TOKEN,
    }
    server.me = "project_12_bot"
    assert not post(forge_of(environment), f"{MARKER}\none", MARKER).updated
    assert post(forge_of(environment), f"{MARKER}\ntwo", MARKER).updated
    assert ("PUT", "/projects/12/merge_requests/3/notes/1") in server.asked


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "not valid"),
        (403, "pull-requests: write"),
        (404, "no such pull request"),
        (500, "again"),
    ],
)
def test_a_refusal_is_told_without_the_token(server: Forge, github, status, said):
    server.status = status
    with pytest.raises(ResourceError, match=said) as caught:
        post(forge_of(github), f"{MARKER}\none", MARKER)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(forge_of(github))


def test_a_forge_that_is_not_there_is_told_without_the_token(github):
    github["GITHUB_API_URL"] = "http://127.0.0.1:1"
    with pytest.raises(ResourceError, match="could not be reached") as caught:
        post(forge_of(github), "x", MARKER)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_EVENT_PATH"])
def test_what_is_missing_is_named(github, missing):
    del github[missing]
    with pytest.raises(ResourceError, match=f"{missing} is not set"):
        forge_of(github)


def test_an_event_of_no_pull_request_is_told(github, tmp_path):
    (tmp_path / "event.json").write_text("{}")
    with pytest.raises(ResourceError, match="this event is of no pull request"):
        forge_of(github)
    assert forge_of(github, 9).comments == "/repos/ada/shop/issues/9/comments"
