"""What Envoy's administration interface says, as plain data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.traffic import Histogram


def parse_values(text: str) -> dict[str, str]:
    """Counters, gauges and text readouts of `/stats` as they are printed, without histograms."""
    pairs = (line.split(": ", 1) for line in text.splitlines() if ": " in line)
    return {name: value.strip('"') for name, value in pairs}


@dataclass(frozen=True)
class HostCounts:
    """What Envoy counted for one host of a cluster since it knows it: attempts, retries included."""

    total: int = 0
    errors: int = 0  # 5xx, resets, and attempts that were given up for taking too long
    active: int = 0
    healthy: bool = False


def parse_hosts(text: str) -> dict[str, dict[int, HostCounts]]:
    """Counts by cluster and port, of `/clusters?format=json`.

    By host, because a retried failure never shows in the cluster's count of 5xx.
    """
    found: dict[str, dict[int, HostCounts]] = {}
    for cluster in json.loads(text).get("cluster_statuses", []):
        hosts = found.setdefault(cluster.get("name", ""), {})
        for host in cluster.get("host_statuses", []):
            counts = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
            health = set(host["health_status"]) - {"eds_health_status"}
            hosts[int(host["address"]["socket_address"]["port_value"])] = HostCounts(
                counts.get("rq_total", 0),
                counts.get("rq_error", 0) + counts.get("rq_timeout", 0),
                counts.get("rq_active", 0),
                healthy=not health,
            )
    return found


@dataclass(frozen=True)
class ClusterCounts:
    """How the requests that a cluster was given ended for who asked; retries made one of many."""

    requests: int = 0
    errors: int = 0  # 5xx, also Envoy's own: no healthy host, timed out, reset
    rejected: int = 0  # 4xx
    retries: int = 0  # for attempts that failed, or took too long

    def plus(self, other: "ClusterCounts") -> "ClusterCounts":
        """Both together."""
        return ClusterCounts(
            self.requests + other.requests,
            self.errors + other.errors,
            self.rejected + other.rejected,
            self.retries + other.retries,
        )


def parse_requests(text: str) -> dict[str, ClusterCounts]:
    """Counts by cluster, of `/stats` for `upstream_rq_(completed|4xx|5xx|retry)`."""
    counts: dict[str, dict[str, int]] = {}
    for name, value in parse_values(text).items():
        cluster, _, counter = name.removeprefix("cluster.").rpartition(".upstream_rq_")
        counts.setdefault(cluster, {})[counter] = int(value)
    return {
        cluster: ClusterCounts(of.get("completed", 0), of.get("5xx", 0), of.get("4xx", 0), of.get("retry", 0))
        for cluster, of in counts.items()
    }


def parse_latencies(text: str) -> dict[str, Histogram]:
    """Waiting times by cluster, of `/stats?format=json&histogram_buckets=cumulative` for `upstream_rq_time`.

    Whole milliseconds from the end of the request to the head of the answer, retries included.
    """
    found: dict[str, Histogram] = {}
    for stat in json.loads(text)["stats"]:
        for histogram in stat.get("histograms", []):
            if histogram["name"].endswith(".upstream_rq_time"):
                cluster = histogram["name"].removeprefix("cluster.").removesuffix(".upstream_rq_time")
                found[cluster] = _histogram(histogram["buckets"])
    return found


def _histogram(buckets: list[Mapping[str, Any]]) -> Histogram:
    below = [int(bucket["cumulative"]) for bucket in buckets]
    counts = [upper - lower for lower, upper in zip([0, *below], below, strict=False)]
    bounds = tuple(float(bucket["upper_bound"]) for bucket in buckets)
    # No request outlasts the highest bound: it is beyond the proxy's whole patience.
    return Histogram(bounds, (*counts, 0)) if below and below[-1] else Histogram(bounds)
