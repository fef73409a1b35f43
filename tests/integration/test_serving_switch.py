"""Moving traffic under a constant load, with the real proxy and the real model servers."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving import protocol
from resources.protocols import LaunchRefused, Release, ServerStatus
from resources.serving_local import LocalServing
from tests.fakes.load import constant_load
from tests.fakes.packages import records
from tests.fakes.releases import MODEL, PUBLIC, key_pair, make_release

pytestmark = pytest.mark.xdist_group("serving_switch")
INFER = f"/v2/models/{MODEL}/infer"


@dataclass(frozen=True)
class Stack:
    serving: LocalServing
    releases: dict[int, Release]

    @property
    def address(self) -> str:
        return self.serving.status().addresses["production"]

    def server(self, version: int) -> ServerStatus:
        return next(s for s in self.serving.status().servers if s.version == version)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("switch")
    releases = {v: make_release(folder / f"release-{v}", version=v) for v in (1, 2)}
    serving = LocalServing(folder / "home" / "serving")
    try:
        serving.launch(releases[1], [PUBLIC])
        serving.route("production", MODEL, {1: 100})
        yield Stack(serving, releases)
    finally:
        serving.stop()


@pytest.fixture
def blue(stack: Stack) -> Stack:
    """Version 1 alone, with all of the traffic."""
    stack.serving.launch(stack.releases[1], [PUBLIC])
    stack.serving.route("production", MODEL, {1: 100})
    stack.serving.retire("production", MODEL, 2)
    return stack


@pytest.fixture(scope="module")
def body(stack: Stack) -> bytes:
    scorer = Scorer.load(stack.releases[1].package)
    return json.dumps(protocol.encode(records(1), scorer.inputs)).encode()


def until(done: Callable[[], bool], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def test_no_request_fails_while_blue_becomes_green(blue: Stack, body: bytes) -> None:
    serving = blue.serving
    with constant_load(blue.address, INFER, body) as load:
        load.wait(lambda seen: seen.answered["1"] >= 100)
        serving.launch(blue.releases[2], [PUBLIC])
        serving.route("production", MODEL, {2: 100})
        load.wait(lambda seen: seen.answered["2"] >= 100)
        serving.retire("production", MODEL, 1)
        after = load.answered["2"]
        load.wait(lambda seen: seen.answered["2"] >= after + 300)
    assert load.failures == []
    assert set(load.answered) == {"1", "2"}
    assert load.total >= 500
    assert [server.version for server in serving.status().servers] == [2]


def test_no_request_fails_through_many_flips(blue: Stack, body: bytes) -> None:
    serving = blue.serving
    serving.launch(blue.releases[2], [PUBLIC])
    with constant_load(blue.address, INFER, body) as load:
        for flip in range(20):
            version = 1 + flip % 2
            serving.route("production", MODEL, {version: 100})
            seen_before = load.answered[str(version)]
            load.wait(lambda seen, v=str(version), n=seen_before: seen.answered[v] > n + 10)
    assert load.failures == []


def test_after_the_route_is_acknowledged_only_the_new_version_answers(blue: Stack, body: bytes) -> None:
    blue.serving.launch(blue.releases[2], [PUBLIC])
    with httpx.Client(base_url=blue.address) as client:
        for version in (2, 1, 2, 1):
            blue.serving.route("production", MODEL, {version: 100})
            until(lambda v=str(version): client.post(INFER, content=body).json()["model_version"] == v, 5)
            answers = [client.post(INFER, content=body).json()["model_version"] for _ in range(20)]
            assert set(answers) == {str(version)}


def test_a_killed_server_is_restarted_and_its_clients_only_wait(blue: Stack, body: bytes) -> None:
    before = blue.server(1)
    assert before.pid is not None
    with constant_load(blue.address, INFER, body) as load:
        load.wait(lambda seen: seen.answered["1"] >= 50)
        os.kill(before.pid, signal.SIGKILL)
        until(lambda: blue.server(1).pid not in (None, before.pid) and blue.server(1).state == "ready")
        answered = load.answered["1"]
        load.wait(lambda seen: seen.answered["1"] >= answered + 50)
    assert load.failures == []


def test_a_batch_goes_through_the_proxy(blue: Stack) -> None:
    scorer = Scorer.load(blue.releases[1].package)
    many = records(5_000, seed=5)
    request = protocol.encode(many, scorer.inputs)
    answer = httpx.post(f"{blue.address}{INFER}", json=request, timeout=30).json()
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert outputs["label"] == scorer.predict(many).labels.tolist()


def test_the_proxys_request_id_comes_back(blue: Stack, body: bytes) -> None:
    headers = {"x-request-id": "6fa4c1a2-0000-4000-8000-000000000001"}
    answer = httpx.post(f"{blue.address}{INFER}", content=body, headers=headers)
    assert answer.json()["id"] == headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models", 200),
        ("GET", f"/v2/models/{MODEL}", 200),
        ("GET", f"/v2/models/{MODEL}/ready", 200),
        ("GET", f"/v2/models/{MODEL}/versions/1/ready", 200),
        ("GET", f"/v2/models/{MODEL}/versions/9/ready", 404),
        ("POST", f"/v2/models/{MODEL}/versions/1/infer", 400),
        ("POST", "/v2/models/another/infer", 404),
        ("POST", f"/v2/repository/models/{MODEL}/unload", 404),
        ("GET", "/metrics", 404),
    ],
)
def test_the_address_answers_in_json(blue: Stack, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{blue.address}{path}", content=b"{}" if method == "POST" else None)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)


def test_traffic_counts_requests_and_errors(blue: Stack, body: bytes) -> None:
    before = {t.version: t for t in blue.serving.traffic("production", MODEL)}
    with httpx.Client(base_url=blue.address) as client:
        statuses = [client.post(INFER, content=content).status_code for content in [body] * 30]
    assert set(statuses) == {200}
    until(lambda: bool(blue.serving.traffic("production", MODEL)[0].latency_ms), 10)
    after = blue.serving.traffic("production", MODEL)[0]
    assert after.requests == before[1].requests + 30
    assert set(after.latency_ms) == {"p50", "p99"}
    assert 0 <= after.latency_ms["p50"] <= after.latency_ms["p99"]


# -- what may not serve ----------------------------------------------------------------------------------


def refusal(stack: Stack, release: Release) -> str:
    with pytest.raises(LaunchRefused) as refused:
        stack.serving.launch(release, [PUBLIC])
    assert release.version not in [server.version for server in stack.serving.status().servers]
    assert stack.serving.routes("production", MODEL) == {1: 100}
    return str(refused.value)


def test_a_flipped_byte_of_the_artifact_is_refused(blue: Stack, tmp_path: Path) -> None:
    release = make_release(tmp_path, version=3)
    graph = bytearray((release.package / "model.onnx").read_bytes())
    graph[100] ^= 1
    (release.package / "model.onnx").write_bytes(graph)
    assert "model.onnx: was changed after it was packaged" in refusal(blue, release)


def test_the_verdict_of_another_artifact_is_refused(blue: Stack, tmp_path: Path) -> None:
    release = make_release(tmp_path, version=3)
    other = blue.releases[1].verdict
    release.verdict.write_bytes(other.read_bytes())
    assert "the verdict is about another artifact" in refusal(blue, release)


def test_the_verdict_of_another_model_is_refused(blue: Stack, tmp_path: Path) -> None:
    release = make_release(tmp_path, version=3, model="another")
    assert "the verdict is about the model 'another'" in refusal(blue, release)


def test_an_untrusted_key_is_refused(blue: Stack, tmp_path: Path) -> None:
    assert "not trusted" in refusal(blue, make_release(tmp_path, version=3, private_key=key_pair(9)[0]))


def test_a_failed_gate_is_refused(blue: Stack, tmp_path: Path) -> None:
    gate = {"name": "roc_auc", "value": 0.5, "bound": ">= 0.65", "passed": False}
    assert "gate 'roc_auc' failed" in refusal(blue, make_release(tmp_path, version=3, gates=[gate]))


def test_a_link_out_of_the_package_is_refused(blue: Stack, tmp_path: Path) -> None:
    release = make_release(tmp_path, version=3)
    (release.package / "features.py").rename(tmp_path / "outside.py")
    (release.package / "features.py").symlink_to(tmp_path / "outside.py")
    assert "no links" in refusal(blue, release)


def test_high_risk_without_an_approval_is_refused(blue: Stack, tmp_path: Path) -> None:
    assert "nobody has approved it" in refusal(blue, make_release(tmp_path, version=3, risk="high"))
