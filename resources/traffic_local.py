"""Reading what one machine's proxy and servers counted, put together by version."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import psutil

from resources.envoy_stats import ClusterCounts, HostCounts
from resources.proxy import Proxy, get
from resources.server_metrics import moment, parse_metrics
from resources.serving_state import Launched
from resources.traffic import Histogram, Traffic, quantiles


def read_traffic(
    proxy: Proxy, servers: Sequence[Launched], pids: Mapping[str, int | None], proxy_pid: int | None
) -> list[Traffic]:
    """Counts by version, from the supervisor's process numbers; empty while the proxy is down."""
    if not (servers and proxy.is_ready()):
        return []
    since = _began(proxy_pid)
    requests, hosts, latencies = proxy.requests(), proxy.hosts(), proxy.latencies()
    return [
        _with_server(_by_proxy(server, requests, hosts, latencies, since), server, pids.get(server.name))
        for server in servers
    ]


def _by_proxy(
    server: Launched,
    requests: Mapping[str, ClusterCounts],
    hosts: Mapping[str, Mapping[int, HostCounts]],
    latencies: Mapping[str, Histogram],
    since: str,
) -> Traffic:
    backend, nothing = server.backend, ClusterCounts()
    live = (backend.cluster, backend.canary)
    asked = requests.get(live[0], nothing).plus(requests.get(live[1], nothing))
    # Its own server alone: what the stable version did for a canary is not the canary's.
    own = [hosts.get(cluster, {}).get(server.port, HostCounts()) for cluster in live]
    latency = latencies.get(live[0], Histogram()).plus(latencies.get(live[1], Histogram()))
    copies = requests.get(backend.shadow, nothing)
    # A canary that takes too long is no error to Envoy: the retries that no error explains are for those.
    failed = sum(host.errors for host in hosts.get(backend.canary, {}).values())
    late = max(0, requests.get(backend.canary, nothing).retries - failed)
    return Traffic(
        model=server.model,
        version=server.version,
        requests=asked.requests,
        errors=asked.errors,
        latency_ms=quantiles(latency),
        rejected=asked.rejected,
        attempts=sum(host.total for host in own),
        failed_attempts=sum(host.errors for host in own) + late,
        latency=latency,
        mirrored=copies.requests,
        mirrored_errors=copies.errors,
        mirrored_latency=latencies.get(backend.shadow, Histogram()),
        counted_since=since,
    )


def _with_server(traffic: Traffic, server: Launched, pid: int | None) -> Traffic:
    traffic = replace(traffic, memory_bytes=_resident(pid))
    try:
        return replace(traffic, **parse_metrics(get(server.port, "/metrics", timeout_s=1.0)[1]))
    except (OSError, ValueError):
        return traffic  # down, frozen or confused: it says nothing, and `started` shows that


def _began(pid: int | None) -> str:
    try:
        return moment(psutil.Process(pid).create_time()) if pid else ""
    except psutil.Error:
        return ""


def _resident(pid: int | None) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else None
    except psutil.Error:
        return None
