"""Envoy's configuration and statistics as plain data: nothing here touches a file, a port or a clock.

One listener per environment, one cluster per launched version, one route per model with a share for each
version. Clusters, listeners, endpoints and routes are files that Envoy watches (xDS over the file system):
https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/examples
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.protocols import Environment

Shares = Mapping[str, Mapping[int, int]]  # model -> version -> percent
HOST = "127.0.0.1"
# The model server keeps idle connections for 75 s: the side that sends must be the one that closes.
IDLE = "60s"
# A request may wait this long for one answer (a large batch), and this long in all.
TRY = "10s"
WHOLE = "30s"

_TYPE = "type.googleapis.com/envoy."
_HTTP = f"{_TYPE}extensions.filters.http"
_MANAGER = f"{_TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_JSON_HEADER = {
    "header": {"key": "content-type", "value": "application/json"},
    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
}
# No healthy upstream, connection failed or reset, timed out, retries used up, no cluster, overflow.
_FAULTS = ["UH", "UF", "UC", "UR", "UT", "URX", "NC", "UO", "UPE"]


@dataclass(frozen=True)
class Backend:
    """A launched version, where the proxy finds it."""

    environment: Environment
    model: str
    version: int
    port: int

    @property
    def cluster(self) -> str:
        """The name of its cluster, and of its file of endpoints."""
        return f"{self.environment}-{self.model}-{self.version}"


def bootstrap(folder: str, admin_port: int) -> dict[str, Any]:
    """The configuration that Envoy starts from; `folder` holds the watched files."""
    limit = f"{_TYPE}extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "node": {"id": "mlcicd", "cluster": "mlcicd"},
        "admin": {"address": _address(admin_port)},
        "stats_flush_interval": "1s",
        "dynamic_resources": {
            "cds_config": _watch(f"{folder}/cds.json"),
            "lds_config": _watch(f"{folder}/lds.json"),
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {"@type": limit, "max_active_downstream_connections": 10_000},
                }
            ]
        },
    }


def versioned(resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A discovery response whose version is the hash of its content, by which Envoy acknowledges it."""
    content = json.dumps(resources, sort_keys=True).encode()
    return {"version_info": hashlib.sha256(content).hexdigest()[:16], "resources": list(resources)}


def _watch(path: str) -> dict[str, Any]:
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


# -- where requests go ----------------------------------------------------------------------------------


def clusters(folder: str, backends: Iterable[Backend]) -> dict[str, Any]:
    """One cluster per launched version, health-checked; its endpoints come from a file of their own."""
    return versioned([_cluster(folder, backend) for backend in backends])


def _cluster(folder: str, backend: Backend) -> dict[str, Any]:
    options = f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": backend.cluster,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _watch(f"{folder}/{backend.cluster}.eds.json")},
        "connect_timeout": "1s",
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 3,
                "healthy_threshold": 1,
                "http_health_check": {"path": f"/v2/models/{backend.model}/ready"},
            }
        ],
        "outlier_detection": {
            "consecutive_gateway_failure": 5,
            "base_ejection_time": "1s",
            "max_ejection_percent": 100,
        },
        # The default of 3 retries under way would give up at once when a busy server restarts.
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "common_http_protocol_options": {"idle_timeout": IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def endpoints(backend: Backend) -> dict[str, Any]:
    """Where a version's server listens."""
    assignment = {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": backend.cluster,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(backend.port)}}]}],
    }
    return versioned([assignment])


# -- where requests come in -----------------------------------------------------------------------------


def listeners(folder: str, ports: Mapping[Environment, int]) -> dict[str, Any]:
    """One address per environment."""
    return versioned([_listener(folder, environment, port) for environment, port in sorted(ports.items())])


def _listener(folder: str, environment: Environment, port: int) -> dict[str, Any]:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_HTTP}.router.v3.Router"}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": environment,
        "rds": {
            "route_config_name": environment,
            "config_source": _watch(f"{folder}/{environment}.rds.json"),
        },
        "preserve_external_request_id": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "stream_idle_timeout": IDLE,
        "local_reply_config": {"mappers": [_fault_as_json()]},
        "http_filters": [router],
    }
    return {
        "@type": f"{_TYPE}config.listener.v3.Listener",
        "name": environment,
        "address": _address(port),
        # Otherwise a second process could bind the same port and silently take half of the connections.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _fault_as_json() -> dict[str, Any]:
    return {
        "filter": {"response_flag_filter": {"flags": _FAULTS}},
        "body_format_override": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}},
    }


# -- which version answers ------------------------------------------------------------------------------


def routes(environment: Environment, backends: Iterable[Backend], shares: Shares) -> dict[str, Any]:
    """The routes of one environment: each model by its shares, each launched version by its own path."""
    models = sorted(model for model, split in shares.items() if split)
    ready = {"ready": bool(models)}
    configuration = {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": environment,
        # An update that names an unknown cluster is rejected as a whole, and the last good one stays.
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": environment,
                "domains": ["*"],
                "routes": [
                    _reply({"path": "/v2/health/live"}, 200, {"live": True}),
                    _reply({"path": "/v2/health/ready"}, 200 if models else 503, ready),
                    _reply({"path": "/v2/models"}, 200, {"models": models}),
                    *(_pinned(backend) for backend in backends if backend.environment == environment),
                    *(_weighted(environment, model, shares[model]) for model in models),
                    _reply({"prefix": "/"}, 404, {"error": f"{environment} serves no such model"}),
                ],
            }
        ],
    }
    return versioned([configuration])


def _reply(match: Mapping[str, str], status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    return {
        "match": dict(match),
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "response_headers_to_add": [_JSON_HEADER],
    }


def _pinned(backend: Backend) -> dict[str, Any]:
    path = f"/v2/models/{backend.model}/versions/{backend.version}"
    return {"match": {"path_separated_prefix": path}, "route": {"cluster": backend.cluster, **_patience()}}


def _weighted(environment: Environment, model: str, split: Mapping[int, int]) -> dict[str, Any]:
    shares = [
        {"name": Backend(environment, model, version, 0).cluster, "weight": weight}
        for version, weight in sorted(split.items())
        if weight
    ]
    return {
        "match": {"path_separated_prefix": f"/v2/models/{model}"},
        "route": {"weighted_clusters": {"clusters": shares}, **_patience()},
    }


def _patience() -> dict[str, Any]:
    # A prediction changes nothing, so it may be asked again. For some four seconds in all: a killed server
    # listens again by then, at the latest (its clients then wait in its queue while the model loads).
    return {
        "timeout": WHOLE,
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset,gateway-error",
            "num_retries": 20,
            "per_try_timeout": TRY,
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        },
    }


# -- what it says ---------------------------------------------------------------------------------------


def parse_values(text: str) -> dict[str, str]:
    """Counters, gauges and text readouts of `/stats` as they are printed, without histograms."""
    pairs = (line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return {name: value.strip('"') for name, value in pairs}


def parse_shares(dump: str, environment: Environment) -> dict[str, dict[int, int]]:
    """The shares in force, of `/config_dump?resource=dynamic_route_configs`."""
    shares: dict[str, dict[int, int]] = {}
    for entry in json.loads(dump).get("configs", []):
        configuration = entry.get("route_config", {})
        if configuration.get("name") != environment:
            continue
        for route in configuration["virtual_hosts"][0]["routes"]:
            for cluster in route.get("route", {}).get("weighted_clusters", {}).get("clusters", []):
                _, model, version = cluster["name"].split("-")
                shares.setdefault(model, {})[int(version)] = int(cluster["weight"])
    return shares


@dataclass(frozen=True)
class HostCounts:
    """What Envoy counted for a cluster's one host since it knows it: attempts, retries included."""

    total: int = 0
    errors: int = 0
    active: int = 0
    healthy: bool = False


def parse_hosts(text: str) -> dict[str, HostCounts]:
    """Counts by cluster, of `/clusters?format=json`.

    By host, because a retried failure never shows in the cluster's count of 5xx.
    """
    found: dict[str, HostCounts] = {}
    for cluster in json.loads(text).get("cluster_statuses", []):
        for host in cluster.get("host_statuses", []):
            counts = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
            health = set(host["health_status"]) - {"eds_health_status"}
            found[cluster["name"]] = HostCounts(
                counts["rq_total"], counts["rq_error"], counts["rq_active"], healthy=not health
            )
    return found


def parse_latencies(text: str) -> dict[str, dict[str, float]]:
    """p50 and p99 in milliseconds by cluster, of `/stats?format=json` for `upstream_rq_time`.

    Envoy records whole milliseconds, so these are good for seeing a slow version, not for a fast one's share.
    """
    found: dict[str, dict[str, float]] = {}
    for stat in json.loads(text)["stats"]:
        histograms = stat.get("histograms", {})
        quantiles = histograms.get("supported_quantiles", [])
        for computed in histograms.get("computed_quantiles", []):
            cumulative = dict(
                zip(quantiles, (value["cumulative"] for value in computed["values"]), strict=True)
            )
            if computed["name"].endswith(".upstream_rq_time") and cumulative.get(50) is not None:
                cluster = computed["name"].removeprefix("cluster.").removesuffix(".upstream_rq_time")
                found[cluster] = {"p50": float(cumulative[50]), "p99": float(cumulative[99])}
    return found
