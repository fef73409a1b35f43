"""What a serving folder remembers: ports, launched versions and shares; and the lock to change it."""

import fcntl
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from resources.envoy import CANARY_S, HOST, Backend
from resources.envoy_routes import Routing
from resources.protocols import Environment, ResourceError

FORMAT = 2
HEADER = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
_ENVIRONMENTS: tuple[Environment, ...] = ("staging", "production")


@dataclass(frozen=True)
class Launched:
    """A version that has a server."""

    environment: Environment
    model: str
    version: int
    digest: str
    port: int
    launched_at: str  # ISO 8601, UTC; an approval had to be valid then
    approved: bool  # whether an approval lies beside the verdict
    answer_within_s: float | None = None  # see ServerSettings
    memory_bytes: int | None = None
    threads: int = 1
    logs: bool = False  # whether log.json, what to write down of its predictions, lies beside the verdict

    @property
    def backend(self) -> Backend:
        """As the proxy sees it."""
        patience = self.answer_within_s or CANARY_S
        return Backend(self.environment, self.model, self.version, self.port, patience)

    @property
    def name(self) -> str:
        """As the supervisor calls it."""
        return self.backend.cluster


@dataclass(frozen=True)
class State:
    """What should run; the processes are brought in line with it."""

    admin_port: int = 0
    ports: Mapping[Environment, int] = field(default_factory=dict)
    servers: tuple[Launched, ...] = ()
    routing: Mapping[Environment, Mapping[str, Routing]] = field(default_factory=dict)

    @property
    def backends(self) -> list[Backend]:
        """The launched versions, as the proxy sees them."""
        return [server.backend for server in self.servers]

    def server(self, environment: Environment, model: str, version: int) -> Launched | None:
        """The launched version, if there is one."""
        wanted = (environment, model, version)
        found = (s for s in self.servers if (s.environment, s.model, s.version) == wanted)
        return next(found, None)

    def with_server(self, server: Launched) -> "State":
        """With a server added, or put in the place of the same version's."""
        same = (server.environment, server.model, server.version)
        kept = tuple(s for s in self.servers if (s.environment, s.model, s.version) != same)
        return replace(self, servers=(*kept, server))

    def without(self, server: Launched) -> "State":
        """Without a version's server, which nobody falls back on and nobody copies to any more."""
        same = (server.environment, server.model, server.version)
        kept = tuple(s for s in self.servers if (s.environment, s.model, s.version) != same)
        remaining, routing = replace(self, servers=kept), self.routed(server.environment, server.model)
        if routing.fallback == server.version and routing.shares:
            routing = replace(routing, fallback=fallback_of(routing.shares, None, None))
        if routing.mirror and routing.mirror[0] == server.version:
            routing = replace(routing, mirror=None)
        return remaining.with_routing(server.environment, server.model, routing)

    def routed(self, environment: Environment, model: str) -> Routing:
        """How a model's requests are spread; over nothing when it is not routed."""
        return self.routing.get(environment, {}).get(model, Routing())

    def with_routing(self, environment: Environment, model: str, routing: Routing) -> "State":
        """With a model's routing replaced."""
        if routing == self.routed(environment, model):
            return self
        of_environment = {**self.routing.get(environment, {}), model: routing}
        return replace(self, routing={**self.routing, environment: of_environment})

    def share(self, server: Launched) -> int:
        """A version's percent of its model's traffic."""
        return self.routed(server.environment, server.model).shares.get(server.version, 0)

    def ports_of(self, server: Launched) -> tuple[int, ...]:
        """Where a version's requests go as a canary: to itself, then to whoever stands in for it."""
        routing = self.routed(server.environment, server.model)
        standing_in = routing.fallback if server.version in routing.canaries() else None
        other = None if standing_in is None else self.server(server.environment, server.model, standing_in)
        return (server.port, *([other.port] if other else []))

    def with_free_ports(self) -> "State":
        """Keep every port that is free or soon will be, choose another for the rest.

        For when nothing of ours runs: but a process that was just killed has left the process table a moment
        before the kernel closes what it listened on.
        """
        taken: set[int] = set()
        deadline = time.monotonic() + _CLOSING_S

        def keep(port: int) -> int:
            kept = port and port not in taken and _frees(port, deadline)
            chosen = port if kept else free_port(taken)
            taken.add(chosen)
            return chosen

        return replace(
            self,
            admin_port=keep(self.admin_port),
            ports={environment: keep(self.ports.get(environment, 0)) for environment in _ENVIRONMENTS},
            servers=tuple(replace(server, port=keep(server.port)) for server in self.servers),
        )

    def free_port(self) -> int:
        """A free port that is not promised to another process of this folder either."""
        return free_port({self.admin_port, *self.ports.values(), *(server.port for server in self.servers)})


def fallback_of(split: Mapping[int, int], asked: int | None, before: int | None) -> int:
    """Who stands in for the others: as asked, else who did before, else the largest share."""
    if asked is not None:
        return asked
    if before is not None and before in split:
        return before
    return max(split, key=lambda version: (split[version], -version))


# Below those that the kernel lends to outgoing connections (ip_local_port_range): while a server is down, no
# connection takes its port, so that it comes back at the address that clients know.
_PORTS = range(20_000, 32_768)
_CLOSING_S = 2.0  # for all ports together


def is_free(port: int) -> bool:
    """Whether a port can be listened on now."""
    try:
        with socket.create_server((HOST, port)):
            return True
    except OSError:
        return False


def _frees(port: int, deadline: float) -> bool:
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def free_port(taken: set[int]) -> int:
    """A port that is free now and not among the taken."""
    while True:
        port = secrets.choice(_PORTS)
        if port not in taken and is_free(port):
            return port


# -- on disk --------------------------------------------------------------------------------------------


def load(path: Path) -> State:
    """Read the state; empty when there is none. Raises ResourceError for one that cannot be read."""
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return State()
    except (OSError, ValueError) as error:
        raise ResourceError(f"{path}: cannot be read ({error}); remove it to start anew") from error
    if not isinstance(found, dict) or found.get("format") not in {1, FORMAT}:
        raise ResourceError(f"{path}: is not of format {FORMAT}; remove it to start anew")
    return _read(found)


def _read(found: Mapping[str, Any]) -> State:
    if found["format"] == 1:  # it knew shares alone
        routing = {
            environment: {model: {"shares": split} for model, split in models.items()}
            for environment, models in found["shares"].items()
        }
    else:
        routing = found["routing"]
    spread = {
        environment: {model: _routing(of_model) for model, of_model in models.items()}
        for environment, models in routing.items()
    }
    servers = tuple(Launched(**server) for server in found["servers"])
    return State(found["admin_port"], found["ports"], servers, spread)


def _routing(found: Mapping[str, Any]) -> Routing:
    shares = {int(version): weight for version, weight in found["shares"].items()}
    before = found.get("fallback")
    return Routing(
        shares,
        fallback=fallback_of(shares, before, None) if shares else None,
        sticky=found.get("sticky"),
        mirror=tuple(found["mirror"]) if found.get("mirror") else None,
    )


def save(path: Path, state: State) -> None:
    """Write the state; it is there whole or not at all."""
    write_whole(path, json.dumps({"format": FORMAT, **asdict(state)}, indent=1))


def write_whole(path: Path, text: str) -> None:
    """Replace a file at once: a reader, or a watcher, sees the old or the new; raises ResourceError."""
    scratch = path.with_name(f".{path.name}.new")
    try:
        with scratch.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        raise ResourceError(f"{path}: cannot be written ({error.strerror}); make it writable") from error


@contextmanager
def exclusive(path: Path, *, patience_s: float = 120.0) -> Iterator[None]:
    """Hold the folder's lock, across processes and threads; raises ResourceError when it stays taken."""
    deadline = time.monotonic() + patience_s
    try:
        file = path.open("a")
    except OSError as error:
        raise ResourceError(f"{path}: cannot be opened ({error.strerror}); make it writable") from error
    with file:
        while not _locked(file.fileno()):
            if time.monotonic() > deadline:
                raise ResourceError(f"{path}: another process has changed the servers for {patience_s:g} s")
            time.sleep(0.05)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
