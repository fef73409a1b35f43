"""Envoy's configuration as plain data: nothing here touches a file, a port or a clock.

One listener per environment, and three clusters per launched version, because policies and counts belong to a
cluster: one for the version that is relied on, one for it as a canary (another version answers when it
fails), one for the copies that it gets as a shadow. Clusters, listeners, endpoints and routes are files that
Envoy watches (xDS over the file system):
https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/examples
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.protocols import Environment
from resources.traffic import LATENCY_BOUNDS_MS

HOST = "127.0.0.1"
# The model server keeps idle connections for 75 s: the side that sends must be the one that closes.
IDLE = "60s"
# A request may wait this long for one answer (a large batch), and this long in all.
TRY = "10s"
WHOLE = "30s"
# Patience with a canary, unless its model declares otherwise; then the stable version is asked as well.
CANARY_S = 1.0
# Copies under way to a shadow; more of them fail at once instead of piling up behind a slow one.
_COPIES = 64
HEADERS = "envoy.filters.http.header_mutation"
# As much as a server takes: what is not kept cannot be asked again.
BODY = 32 * 1024 * 1024

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
    answer_within_s: float = CANARY_S  # as a canary

    @property
    def cluster(self) -> str:
        """The name of its cluster, and of its file of endpoints."""
        return f"{self.environment}-{self.model}-{self.version}"

    @property
    def canary(self) -> str:
        """The cluster that has another version to fall back on, and its file of endpoints."""
        return f"{self.cluster}-canary"

    @property
    def shadow(self) -> str:
        """The cluster that gets copies of requests."""
        return f"{self.cluster}-shadow"


def bootstrap(folder: str, admin_port: int) -> dict[str, Any]:
    """The configuration that Envoy starts from; `folder` holds the watched files."""
    limit = f"{_TYPE}extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "node": {"id": "mlcicd", "cluster": "mlcicd"},
        "admin": {"address": _address(admin_port)},
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(LATENCY_BOUNDS_MS)}
            ]
        },
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
    """Three clusters per launched version, whatever it is used as: so no count is lost when that changes."""
    kinds = (_relied_on, _canary, _shadow)
    return versioned([kind(folder, backend) for backend in backends for kind in kinds])


def _relied_on(folder: str, backend: Backend) -> dict[str, Any]:
    return {
        **_cluster(folder, backend.cluster, backend.cluster),
        "health_checks": [_health_check(backend)],
        "outlier_detection": {
            "consecutive_gateway_failure": 5,
            "base_ejection_time": "1s",
            "max_ejection_percent": 100,
        },
        # The default of 3 retries under way would give up at once when a busy server restarts.
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
    }


def _canary(folder: str, backend: Backend) -> dict[str, Any]:
    priorities = f"{_TYPE}extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    retries = {
        "retry_on": "5xx",  # resets, refused connections and timeouts as well
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
        # A retry within one cluster goes to the same host, unless it is told to try the next priority.
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {"@type": priorities, "update_frequency": 1},
        },
    }
    return {
        **_cluster(folder, backend.canary, backend.canary, retry_policy=retries),
        "health_checks": [_health_check(backend)],
        "outlier_detection": {
            "consecutive_5xx": 5,
            "base_ejection_time": "1s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 100,
        },
        # Panic (asking the unhealthy as well) only when nobody is left: with anybody healthy to stand in, an
        # ejected canary gets no request. With the default window, a worker learns up to a second late who is
        # healthy: that another version can stand in, or that one failed.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}, "update_merge_window": "0s"},
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
    }


def _shadow(folder: str, backend: Backend) -> dict[str, Any]:
    most = {"max_connections": _COPIES, "max_pending_requests": _COPIES, "max_requests": _COPIES}
    return {
        **_cluster(folder, backend.shadow, backend.cluster),
        "circuit_breakers": {"thresholds": [{**most, "max_retries": 0}]},
    }


def _cluster(folder: str, name: str, hosts: str, **policies: Any) -> dict[str, Any]:
    options = f"{_TYPE}extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "@type": f"{_TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"service_name": hosts, "eds_config": _watch(f"{folder}/{hosts}.eds.json")},
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "common_http_protocol_options": {"idle_timeout": IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
                **policies,
            }
        },
    }


def _health_check(backend: Backend) -> dict[str, Any]:
    return {
        "timeout": "2s",
        "interval": "1s",
        "no_traffic_interval": "1s",
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "http_health_check": {"path": f"/v2/models/{backend.model}/ready"},
    }


def endpoints(cluster: str, *ports: int) -> dict[str, Any]:
    """Where a cluster's servers listen; each is only asked when those before it fail."""
    servers = [
        {"priority": priority, "lb_endpoints": [{"endpoint": {"address": _address(port)}}]}
        for priority, port in enumerate(ports)
    ]
    assignment = {
        "@type": f"{_TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster,
        "endpoints": servers,
    }
    return versioned([assignment])


# -- where requests come in -----------------------------------------------------------------------------


def listeners(folder: str, ports: Mapping[Environment, int]) -> dict[str, Any]:
    """One address per environment."""
    return versioned([_listener(folder, environment, port) for environment, port in sorted(ports.items())])


def _listener(folder: str, environment: Environment, port: int) -> dict[str, Any]:
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_HTTP}.router.v3.Router"}}
    # Does nothing but what a route says: a canary's requests get a patience of their own.
    mutation = {
        "name": HEADERS,
        "typed_config": {"@type": f"{_HTTP}.header_mutation.v3.HeaderMutation"},
    }
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
        "http_filters": [mutation, router],
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
