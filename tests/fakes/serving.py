"""A `ServingTarget` in memory: versions start at once, unless they are told to refuse."""

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

Key = tuple[Environment, str, int]


class FakeServing:
    """`refusals` maps a digest to the reason why its server will not serve; change it between calls.

    `address` is where something real answers for every environment, where a test has that.
    """

    def __init__(self, refusals: Mapping[str, str] | None = None, address: str = "") -> None:
        self.address = address
        self.refusals = dict(refusals or {})
        self.calls: list[str] = []  # what was done, in order: "launch production m 2", "route …"
        self.running = False
        self.servers: dict[Key, ServerStatus] = {}
        self.shares: dict[tuple[Environment, str], dict[int, int]] = {}
        self._pids = 1_000

    def start(self) -> ServingStatus:
        self.running = True
        return self.status()

    def stop(self) -> None:
        self.running = False

    def status(self) -> ServingStatus:
        servers = [self._seen(key) for key in self.servers]
        problems = () if self.running or not servers else ("the servers are down",)
        known = self.running or bool(servers)
        names = ("staging", "production") if known else ()
        addresses = {name: self.address or f"http://{name}.test" for name in names}
        return ServingStatus(self.running, addresses, servers, problems)

    def launch(self, release: Release, trusted_keys: Sequence[bytes]) -> ServerStatus:
        self.start()
        key = (release.environment, release.model, release.version)
        known = self.servers.get(key)
        if known is not None and known.digest != release.digest:
            raise LaunchRefused(f"{release.model} version {release.version} runs with another digest")
        if release.digest in self.refusals:
            raise LaunchRefused(f"refused: {self.refusals[release.digest]}")
        if known is None:
            self.calls.append(f"launch {release.environment} {release.model} {release.version}")
            self._pids += 1
            self.servers[key] = ServerStatus(
                model=release.model,
                version=release.version,
                environment=release.environment,
                digest=release.digest,
                state="ready",
                address=f"http://{release.environment}-{release.version}.test",
                pid=self._pids,
                weight=0,
            )
        return self._seen(key)

    def route(self, environment: Environment, model: str, weights: Mapping[int, int]) -> None:
        split = {version: weight for version, weight in weights.items() if weight}
        if sum(split.values()) != 100 or min(split.values()) < 0:
            raise ResourceError(f"{model}: the shares {dict(weights)} do not sum to 100 %")
        if not self.running:
            raise ResourceError("the servers are down")
        for version in split:
            if (environment, model, version) not in self.servers:
                raise ResourceError(f"{environment}: {model} version {version} is not launched")
        self.calls.append(f"route {environment} {model} {split}")
        self.shares[environment, model] = split

    def routes(self, environment: Environment, model: str) -> Mapping[int, int]:
        return dict(self.shares.get((environment, model), {}))

    def retire(self, environment: Environment, model: str, version: int) -> None:
        if self.routes(environment, model).get(version):
            raise ResourceError(f"{model} version {version} still has traffic")
        if self.servers.pop((environment, model, version), None):
            self.calls.append(f"retire {environment} {model} {version}")

    def traffic(self, environment: Environment, model: str) -> list[Traffic]:
        wanted = (environment, model)
        return [Traffic(m, v, 0, 0, {}) for e, m, v in self.servers if self.running and (e, m) == wanted]

    def _seen(self, key: Key) -> ServerStatus:
        environment, model, version = key
        weight = self.routes(environment, model).get(version, 0)
        status = replace(self.servers[key], weight=weight)
        return status if self.running else replace(status, state="stopped", pid=None)
