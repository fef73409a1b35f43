"""A constant load on one address: keep-alive connections that go on whatever happens, and remember it."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Record:
    """What the clients saw. `answered` counts the answers by the version that gave them."""

    answered: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    last: dict[str, float] = field(default_factory=dict)  # when a version answered last; time.monotonic()
    waited_ms: list[float] = field(default_factory=list)  # for each answer
    rate: float = 0.0  # requests per second, over the whole load
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def total(self) -> int:
        return sum(self.answered.values()) + len(self.failures)

    def note(self, version: str, began: float) -> None:
        """An answer to what was asked at `began`."""
        now = time.monotonic()
        with self._lock:
            self.answered[version] += 1
            self.last[version] = now
        self.waited_ms.append((now - began) * 1e3)

    def wait(self, done: Callable[["Record"], bool], *, patience_s: float = 60.0) -> None:
        """Wait until the clients have seen enough."""
        deadline = time.monotonic() + patience_s
        while not done(self):
            assert time.monotonic() < deadline, f"not seen within {patience_s} s: {self.answered}"
            time.sleep(0.01)


@contextmanager
def constant_load(
    address: str,
    path: str,
    body: bytes,
    *,
    clients: int = 4,
    per_second: int = 200,
) -> Iterator[Record]:
    """Ask for as long as the block runs: each client over one connection, at its share of the rate."""
    record, stop, start = Record(), threading.Event(), time.monotonic()
    threads = [
        threading.Thread(target=_ask, args=(address, path, body, clients / per_second, record, stop))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield record
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
        record.rate = record.total / (time.monotonic() - start)


def _ask(
    address: str,
    path: str,
    body: bytes,
    pause_s: float,
    record: Record,
    stop: threading.Event,
) -> None:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    due = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status == 200:
                record.note(response.headers["x-model-version"], began)
            else:
                record.failures.append(f"{response.status}: {text[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            record.failures.append(f"{type(error).__name__}: {error}")
            connection.close()
        due = max(due + pause_s, time.monotonic() - 1.0)
        stop.wait(max(0.0, due - time.monotonic()))
    connection.close()
