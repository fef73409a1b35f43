"""The clients that ask a server under test; no test here is about speed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from mlcicd_assets.serving.load import Target, closed_loop, steady


class Server(ThreadingHTTPServer):
    daemon_threads = True
    asked = 0
    failing_after: int | None = None
    hang: Event | None = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        if self.server.hang:
            self.server.hang.wait(30)
        failing = self.server.failing_after is not None and self.server.asked > self.server.failing_after
        body = json.dumps({"error": "out of order"} if failing else {}).encode()
        self.send_response(500 if failing else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def running(failing_after: int | None = None, hang: Event | None = None) -> Iterator[tuple[Server, Target]]:
    server = Server(("127.0.0.1", 0), Handler)
    server.failing_after, server.hang = failing_after, hang
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server, Target(f"http://127.0.0.1:{server.server_address[1]}", "/infer", timeout_s=20)
    finally:
        server.shutdown()
        server.server_close()


def test_every_request_is_sent_once_and_answered() -> None:
    with running() as (server, target):
        seen = closed_loop(target, [b"{}", b"[]"], requests=60, concurrency=4, warm_up=5)
    assert (len(seen.latencies_ms), seen.failures, server.asked) == (60, [], 65)
    assert min(seen.latencies_ms) > 0
    assert seen.seconds > 0


def test_failures_are_counted_with_their_reason_and_ended_early() -> None:
    with running(failing_after=10) as (server, target):
        seen = closed_loop(target, [b"{}"], requests=5_000, concurrency=2, warm_up=0)
    assert len(seen.latencies_ms) == 10
    assert len(seen.failures) <= 10
    assert seen.failures[0] == 'status 500: {"error": "out of order"}'
    assert server.asked < 100


def test_a_server_that_hangs_fails_by_its_timeout() -> None:
    over = Event()
    with running(hang=over) as (_, target):
        quick = Target(target.address, target.path, timeout_s=0.05)
        seen = closed_loop(quick, [b"{}"], requests=3, concurrency=1, warm_up=1)
        over.set()
    assert seen.failures == ["no answer within 0.05 s"] * 3


def test_nobody_there_is_a_failure_and_no_crash() -> None:
    seen = closed_loop(Target("http://127.0.0.1:1", "/infer"), [b"{}"], requests=2, concurrency=1)
    assert len(seen.failures) == 2
    assert "ConnectionRefusedError" in seen.failures[0]


@pytest.mark.parametrize(("rate", "seconds", "expected"), [(200, 0.2, 40), (50, 0.1, 5), (1, 0.1, 1)])
def test_a_steady_rate_sends_what_it_says(rate: float, seconds: float, expected: int) -> None:
    with running() as (_, target):
        seen = steady(target, [b"{}"], rate=rate, seconds=seconds, connections=4)
    assert (len(seen.latencies_ms), seen.failures) == (expected, [])


def test_the_wait_for_a_server_that_fell_behind_counts() -> None:
    # Given a server that holds the first answer back until many more requests were due
    over = Event()
    with running(hang=over) as (server, target):
        thread = Thread(target=_release_when_asked, args=(server, over))
        thread.start()
        seen = steady(target, [b"{}"], rate=100, seconds=0.3, connections=1)
        thread.join()
    # Then the requests that could not even be sent show how late they were
    assert sum(latency > 20 for latency in seen.latencies_ms) > 1


def _release_when_asked(server: Server, over: Event) -> None:
    while not server.asked:
        Event().wait(0.005)
    Event().wait(0.2)
    over.set()
