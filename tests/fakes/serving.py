"""A `ServingTarget` in memory: versions start at once, unless they are told to refuse.

It sees no traffic but what a test says by `count`.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlcicd_assets.ml.artifact.package import PackageError
from mlcicd_assets.ml.artifact.scoring import Scorer
from resources.protocols import (
    Environment,
    LaunchRefused,
    Limits,
    Release,
    ResourceError,
    ServerSettings,
    ServerStatus,
    ServingStatus,
    Traffic,
    TrialEnded,
)
from resources.serving_state import HEADER, fallback_of
from resources.traffic import Histogram, quantiles
from tests.fakes.served import answering

Key = tuple[Environment, str, int]
TOKEN = "for-this-trial-only"


@dataclass(frozen=True)
class FakeTrial:
    """A candidate that answers from a thread of this process, which has no limits to keep to."""

    address: str
    headers: Mapping[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {TOKEN}"})
    cold_start_s: float = 0.5

    def peak_memory_mb(self) -> float:
        return 200.0

    def ended(self) -> str:
        return ""


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
        self.sticky: dict[tuple[Environment, str], str | None] = {}
        self.fallbacks: dict[tuple[Environment, str], int] = {}
        self.copies: dict[tuple[Environment, str], tuple[int, int]] = {}
        self.counted: dict[Key, Traffic] = {}
        self.settings: dict[Key, ServerSettings] = {}  # that each server was started with
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
            self.settings[key] = release.settings
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

    def route(
        self,
        environment: Environment,
        model: str,
        weights: Mapping[int, int],
        *,
        sticky: str | None = None,
        fallback: int | None = None,
    ) -> None:
        split = {version: weight for version, weight in weights.items() if weight}
        if sum(split.values()) != 100 or min(split.values()) < 0:
            raise ResourceError(f"{model}: the shares {dict(weights)} do not sum to 100 %")
        if sticky is not None and not HEADER.match(sticky):
            raise ResourceError(f"{model}: {sticky!r} is no name of a request header")
        if not self.running:
            raise ResourceError("the servers are down")
        for version in (*split, *([fallback] if fallback is not None else [])):
            if (environment, model, version) not in self.servers:
                raise ResourceError(f"{environment}: {model} version {version} is not launched")
        where = (environment, model)
        self.calls.append(f"route {environment} {model} {split}")
        self.fallbacks[where] = fallback_of(split, fallback, self.fallbacks.get(where))
        self.shares[where], self.sticky[where] = split, sticky
        if self.copies.get(where, (0, 0))[0] in split:
            del self.copies[where]

    def routes(self, environment: Environment, model: str) -> Mapping[int, int]:
        return dict(self.shares.get((environment, model), {}))

    def mirror(self, environment: Environment, model: str, version: int | None, percent: int = 100) -> None:
        if not 1 <= percent <= 100:
            raise ResourceError(f"{model}: {percent} % of the requests cannot be copied; 1 to 100")
        if version is None:
            if self.copies.pop((environment, model), None):
                self.calls.append(f"mirror {environment} {model} None")
            return
        if not self.running:
            raise ResourceError("the servers are down")
        if (environment, model, version) not in self.servers:
            raise ResourceError(f"{environment}: {model} version {version} is not launched")
        if not self.routes(environment, model):
            raise ResourceError(f"{environment}: {model} has no traffic that could be copied")
        if self.routes(environment, model).get(version):
            raise ResourceError(f"{model} version {version} has traffic of its own")
        self.calls.append(f"mirror {environment} {model} {version} {percent}")
        self.copies[environment, model] = (version, percent)

    def mirrors(self, environment: Environment, model: str) -> Mapping[int, int]:
        return dict([self.copies[environment, model]]) if (environment, model) in self.copies else {}

    def retire(self, environment: Environment, model: str, version: int) -> None:
        if self.routes(environment, model).get(version):
            raise ResourceError(f"{model} version {version} still has traffic")
        if self.mirrors(environment, model).get(version):
            self.mirror(environment, model, None)
        if self.servers.pop((environment, model, version), None):
            self.counted.pop((environment, model, version), None)
            self.calls.append(f"retire {environment} {model} {version}")

    def traffic(self, environment: Environment, model: str) -> list[Traffic]:
        wanted = (environment, model)
        return [self._counted(key) for key in self.servers if self.running and key[:2] == wanted]

    def count(
        self,
        environment: Environment,
        model: str,
        version: int,
        *,
        latencies_ms: Mapping[float, int] | None = None,
        scores: Mapping[str, int] | None = None,
        **added: int,
    ) -> None:
        """Add to a version's counters: `requests=100, errors=2`, answers by their time, rows by their bin."""
        key, before = (environment, model, version), self._counted((environment, model, version))
        observed = _histogram(latencies_ms or {})
        field = "mirrored_latency" if "mirrored" in added else "latency"
        changes: dict[str, Any] = {name: getattr(before, name) + more for name, more in added.items()}
        changes[field] = getattr(before, field).plus(observed)
        bins = {*before.scores, *(scores or {})}
        changes["scores"] = {b: before.scores.get(b, 0) + (scores or {}).get(b, 0) for b in bins}
        after = replace(before, **changes)
        self.counted[key] = replace(after, latency_ms=quantiles(after.latency))

    def restart(self, environment: Environment, model: str, version: int) -> None:
        """As if the version's server had been killed: what it counted itself begins anew."""
        before = self._counted((environment, model, version))
        later = f"{before.started}+1"
        self.counted[environment, model, version] = replace(before, scores={}, non_finite=0, started=later)

    def _counted(self, key: Key) -> Traffic:
        begun = "2026-01-01T00:00:00+00:00"
        fresh = Traffic(key[1], key[2], 0, 0, {}, counted_since=begun, memory_bytes=100 << 20, started=begun)
        return self.counted.get(key, fresh)

    def _seen(self, key: Key) -> ServerStatus:
        environment, model, version = key
        weight = self.routes(environment, model).get(version, 0)
        status = replace(self.servers[key], weight=weight)
        return status if self.running else replace(status, state="stopped", pid=None)

    @contextmanager
    def trial(self, package: Path, *, model: str, digest: str, limits: Limits) -> Iterator[FakeTrial]:
        try:
            scorer = Scorer.load(package, expected=digest)
        except PackageError as error:
            raise TrialEnded(f"the model server did not start: refused: {error}") from error
        self.calls.append(f"trial {model} {limits}")
        with answering(scorer, model, 0, token=TOKEN) as address:
            yield FakeTrial(address)


def _histogram(latencies_ms: Mapping[float, int]) -> Histogram:
    bounds = Histogram().bounds
    counts = [0] * (len(bounds) + 1)
    for value, times in latencies_ms.items():
        counts[bisect_left(bounds, value)] += times
    return Histogram(counts=tuple(counts) if latencies_ms else ())
