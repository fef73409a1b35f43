"""What a Prometheus knows of the traffic: the proxy's counters, asked for by PromQL over HTTP.

`increase` over exactly the window, evaluated at its end: counters that began anew count from nothing, and
what lies between two scrapes is interpolated, so counts are rounded. Buckets of the canary's cluster and of
the plain one add up before a quantile is taken, as they are the same users.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from resources.protocols import ResourceError
from resources.secrets import Secret
from resources.traffic import Histogram, Traffic, quantiles
from resources.traffic_history import Counted

_TIMEOUT_S = 10.0
REQUESTS = "envoy_cluster_upstream_rq_completed"
ANSWERS = "envoy_cluster_upstream_rq_xx"
BUCKETS = "envoy_cluster_upstream_rq_time_bucket"
CLUSTER, CLASS = "envoy_cluster_name", "envoy_response_code_class"


@dataclass(frozen=True)
class PrometheusTraffic:
    """Implements `TrafficHistory`. The token, where there is one, is read when it is used."""

    url: str = field(repr=False)  # may carry a password
    token: Secret | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "PrometheusTraffic | None":
        """`MLCICD_PROMETHEUS_URL`, `MLCICD_PROMETHEUS_TOKEN` or `MLCICD_PROMETHEUS_TOKEN_FILE`."""
        url = environment.get("MLCICD_PROMETHEUS_URL", "").rstrip("/")
        if not url:
            return None
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ResourceError("MLCICD_PROMETHEUS_URL is an address like https://prometheus.internal:9090")
        file = environment.get("MLCICD_PROMETHEUS_TOKEN_FILE")
        if file:
            return cls(url, Secret(f"file:{file}", environment))
        named = "MLCICD_PROMETHEUS_TOKEN"
        return cls(url, Secret(f"env:{named}", environment) if environment.get(named) else None)

    def note(self, environment: str, model: str, traffic: Sequence[Traffic], at: datetime) -> None:
        """Prometheus scrapes by itself."""

    def between(self, environment: str, model: str, start: datetime, end: datetime) -> list[Counted]:
        """What was counted from start to end, by version; empty where Prometheus knows no such cluster."""
        seconds = max(1, math.ceil((end - start).total_seconds()))
        chosen = f'{CLUSTER}=~"{environment}-{model}-[0-9]+(-canary)?"'  # a model's name is a plain word
        requests = self._sums(REQUESTS, chosen, seconds, end, CLUSTER)
        errors = self._sums(ANSWERS, f'{chosen},{CLASS}="5"', seconds, end, CLUSTER)
        rejected = self._sums(ANSWERS, f'{chosen},{CLASS}="4"', seconds, end, CLUSTER)
        waits = self._sums(BUCKETS, chosen, seconds, end, CLUSTER, "le")
        versions = {_version(cluster): 0 for (cluster,) in requests}
        return [
            Counted(
                _traffic(model, version, requests, errors, rejected, waits),
                start.astimezone(UTC),
                end.astimezone(UTC),
                "Prometheus",
            )
            for version in sorted(versions)
        ]

    def _sums(
        self, metric: str, chosen: str, seconds: int, at: datetime, *by: str
    ) -> dict[tuple[str, ...], float]:
        query = f"sum by ({', '.join(by)}) (increase({metric}{{{chosen}}}[{seconds}s]))"
        found: dict[tuple[str, ...], float] = {}
        for series in self._ask(query, at):
            try:
                labels = tuple(str(series["metric"][name]) for name in by)
                value = float(series["value"][1])
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise self._problem(f"answered something else than a vector ({error!r})") from None
            if math.isfinite(value):
                found[labels] = value
        return found

    def _ask(self, query: str, at: datetime) -> list[Mapping[str, Any]]:
        import httpx

        headers = {"Authorization": f"Bearer {self.token.reveal()}"} if self.token else {}
        values = {"query": query, "time": f"{at.timestamp():.3f}"}
        try:
            answer = httpx.post(
                f"{self.url}/api/v1/query",
                data=values,
                headers=headers,
                timeout=_TIMEOUT_S,
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._problem(f"does not answer ({type(error).__name__})") from None
        if answer.status_code in {401, 403}:
            raise self._problem(f"refuses us ({answer.status_code}): set MLCICD_PROMETHEUS_TOKEN")
        try:
            body = answer.json()
        except ValueError:
            raise self._problem(f"answered {answer.status_code}, and no JSON") from None
        if not isinstance(body, dict) or body.get("status") != "success":
            said = str(body.get("error", ""))[:200] if isinstance(body, dict) else ""
            raise self._problem(f"answered {answer.status_code}: {said or 'no success'}")
        data = body.get("data")
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, list):
            raise self._problem("answered something else than a vector")
        return result

    def _problem(self, what: str) -> ResourceError:
        """By its host alone: a URL may carry a password."""
        parts = urlsplit(self.url)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        return ResourceError(f"the Prometheus at {place} {what}")


def _version(cluster: str) -> int:
    return int(cluster.removesuffix("-canary").rpartition("-")[2])


def _traffic(
    model: str,
    version: int,
    requests: Mapping[tuple[str, ...], float],
    errors: Mapping[tuple[str, ...], float],
    rejected: Mapping[tuple[str, ...], float],
    waits: Mapping[tuple[str, ...], float],
) -> Traffic:
    def total(counts: Mapping[tuple[str, ...], float]) -> int:
        return round(sum(count for (cluster, *_), count in counts.items() if _version(cluster) == version))

    latency = _histogram(waits, version)
    return Traffic(
        model=model,
        version=version,
        requests=total(requests),
        errors=total(errors),
        rejected=total(rejected),
        latency=latency,
        latency_ms=quantiles(latency),
    )


def _histogram(waits: Mapping[tuple[str, ...], float], version: int) -> Histogram:
    """Cumulative buckets of all the version's clusters as one histogram."""
    upto: dict[float, float] = {}
    for (cluster, text), count in waits.items():
        if _version(cluster) == version:
            upto[float(text)] = upto.get(float(text), 0.0) + count
    bounds = sorted(upto)
    # Interpolated buckets may fall a little short of those below them.
    below, counts = 0.0, []
    for bound in bounds:
        counts.append(max(0, round(upto[bound]) - round(below)))
        below = max(below, upto[bound])
    if not bounds or not sum(counts):
        return Histogram()
    finite = tuple(bound for bound in bounds if math.isfinite(bound))
    return Histogram(finite, (*counts, *([0] if len(finite) == len(counts) else [])))
