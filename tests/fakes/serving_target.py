"""A serving target in memory; where an address is given, something real may answer there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from resources.protocols import (
    Environment,
    LaunchRefused,
    Release,
    ResourceError,
    ServerStatus,
    ServingStatus,
    Traffic,
)


class MemoryServing:
    """Remembers what was launched and routed; `refuse` makes every launch fail with that reason."""

    def __init__(self, address: str = "http://127.0.0.1:9") -> None:
        self.address = address
        self.running = False
        self.refuse = ""
        self.servers: dict[tuple[Environment, str, int], ServerStatus] = {}
        self.shares: dict[tuple[Environment, str], dict[int, int]] = {}

    def start(self) -> ServingStatus:
        self.running = True
        return self.status()

    def stop(self) -> None:
        self.running = False

    def status(self) -> ServingStatus:
        addresses = {"staging": self.address, "production": self.address} if self.running else {}
        servers = [replace(server, weight=self._share(server)) for server in self.servers.values()]
        return ServingStatus(self.running, addresses, servers)

    def launch(self, release: Release, trusted_keys: Sequence[bytes]) -> ServerStatus:
        if self.refuse:
            raise LaunchRefused(self.refuse)
        server = ServerStatus(
            release.model,
            release.version,
            release.environment,
            release.digest,
            "ready",
            self.address,
            pid=1,
            weight=0,
        )
        self.servers[release.environment, release.model, release.version] = server
        return server

    def route(self, environment: Environment, model: str, weights: Mapping[int, int]) -> None:
        missing = [version for version in weights if (environment, model, version) not in self.servers]
        if missing:
            raise ResourceError(f"{model}: no server of version {missing[0]} in {environment}")
        self.shares[environment, model] = dict(weights)

    def routes(self, environment: Environment, model: str) -> Mapping[int, int]:
        return self.shares.get((environment, model), {})

    def retire(self, environment: Environment, model: str, version: int) -> None:
        if self.routes(environment, model).get(version):
            raise ResourceError(f"{model}: version {version} still has traffic")
        self.servers.pop((environment, model, version), None)

    def traffic(self, environment: Environment, model: str) -> list[Traffic]:
        return []

    def _share(self, server: ServerStatus) -> int:
        return self.routes(server.environment, server.model).get(server.version, 0)
