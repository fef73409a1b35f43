"""Asking a server as its users will: so many at once, or so many each second; and timing every answer.

A client on the server's own machine takes part of its processor, so that what is measured here is an upper
bound of the server's own latency. Keep-alive connections, one thread each.
"""

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

WARM_UP = 50
_GIVE_UP = 5  # failures in a row, after which a client asks no more


@dataclass(frozen=True)
class Target:
    """Where requests go, and what each must carry."""

    address: str  # http://host:port
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 1.0  # for one answer; what takes longer has failed


@dataclass
class Answers:
    """What the clients saw."""

    latencies_ms: list[float] = field(default_factory=list)  # of answers with status 200
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0  # from the first request to the last answer

    def add(self, other: "Answers") -> None:
        """Join what another client saw."""
        self.latencies_ms += other.latencies_ms
        self.failures += other.failures


def closed_loop(
    target: Target,
    bodies: Sequence[bytes],
    *,
    requests: int,
    concurrency: int,
    at_most_s: float = 20.0,
    warm_up: int = WARM_UP,
) -> Answers:
    """Keep `concurrency` requests under way until `requests` are answered, or the time is over.

    Each client sends its next request when it has its answer. The first `warm_up` requests do not count;
    after a failed one, the rest of them are not sent.
    """
    warm = Client(target)
    for number in range(warm_up):
        if not warm.ask(bodies[number % len(bodies)]):
            break
    warm.close()
    turns = itertools.count()
    until = time.perf_counter() + at_most_s

    def ask(client: Client) -> None:
        failed = 0
        while (turn := next(turns)) < requests and time.perf_counter() < until and failed < _GIVE_UP:
            failed = 0 if client.ask(bodies[turn % len(bodies)]) else failed + 1

    return _all(target, concurrency, ask)


def steady(
    target: Target, bodies: Sequence[bytes], *, rate: float, seconds: float, connections: int
) -> Answers:
    """Send `rate` requests a second, whether or not earlier ones have been answered.

    Latency counts from the moment a request was due, so that a server that falls behind cannot hide it
    (coordinated omission).
    """
    requests = max(1, round(rate * seconds))
    turns = itertools.count()
    start = time.perf_counter() + 0.01

    def ask(client: Client) -> None:
        while (turn := next(turns)) < requests:
            due = start + turn / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            client.ask(bodies[turn % len(bodies)], since=due)

    return _all(target, connections, ask)


class Client:
    """One keep-alive connection, and what came over it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._headers = {"content-type": "application/json", **target.headers}
        self._connection = http.client.HTTPConnection(
            target.address.removeprefix("http://"), timeout=target.timeout_s
        )
        self.seen = Answers()

    def ask(self, body: bytes, *, since: float | None = None) -> bool:
        """Send one request and note what came of it; `since` is when it was due. Whether it succeeded."""
        began = time.perf_counter() if since is None else since
        try:
            self._connection.request("POST", self._target.path, body, self._headers)
            response = self._connection.getresponse()
            text = response.read()
        except TimeoutError:
            return self._failed(f"no answer within {self._target.timeout_s:g} s")
        except (OSError, http.client.HTTPException) as error:
            return self._failed(f"no answer ({type(error).__name__}: {error})")
        if response.status != http.client.OK:
            return self._failed(f"status {response.status}: {text[:200].decode(errors='replace')}", keep=True)
        self.seen.latencies_ms.append((time.perf_counter() - began) * 1e3)
        return True

    def _failed(self, reason: str, *, keep: bool = False) -> bool:
        self.seen.failures.append(reason)
        if not keep:
            self._connection.close()  # the next request opens it anew
        return False

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


def _all(target: Target, clients: int, ask: Callable[[Client], None]) -> Answers:
    members = [Client(target) for _ in range(clients)]
    threads = [threading.Thread(target=ask, args=(member,), daemon=True) for member in members]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = Answers(seconds=time.perf_counter() - began)
    for member in members:
        member.close()
        together.add(member.seen)
    return together
