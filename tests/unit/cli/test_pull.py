"""`mlcicd pull`, and Dagster that loads anew."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from mlcicd_assets.cli.pull import reload_location
from resources.protocols import ResourceError


@contextmanager
def dagster(answer: Any, status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A web server that gives one answer; yields its address and what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()


def reloaded(inner: dict[str, str]) -> dict[str, Any]:
    entry = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": inner}
    return {"data": {"reloadRepositoryLocation": entry}}


def test_the_location_is_loaded_anew() -> None:
    with dagster(reloaded({"__typename": "RepositoryLocation"})) as (address, asked):
        reload_location(address)

    assert asked[0]["variables"] == {"location": "mlcicd"}


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (reloaded({"__typename": "PythonError", "message": "defs.yaml: no"}), 200, "defs.yaml: no"),
        (
            {"data": {"reloadRepositoryLocation": {"__typename": "UnauthorizedError"}}},
            200,
            "UnauthorizedError",
        ),
        ({"errors": []}, 200, "did not reload"),
        ({}, 500, "did not reload"),
    ],
)
def test_declarations_that_cannot_be_loaded_are_told(answer: Any, status: int, said: str) -> None:
    with dagster(answer, status) as (address, _), pytest.raises(ResourceError, match=said):
        reload_location(address)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ResourceError, match="did not reload"):
        reload_location("http://127.0.0.1:9")
