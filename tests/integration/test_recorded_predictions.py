"""Scores, memory and the prediction log of real servers, behind the real proxy."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import Package, read_package, write_package
from mlcicd_assets.ml.prediction_logging import PredictionLog
from mlcicd_assets.release.shadow import agreement
from mlcicd_assets.serving import protocol
from resources import processes
from resources.predictions import PredictionFolder
from resources.protocols import LaunchRefused, Release, ServerSettings, ServerStatus
from resources.serving_local import LocalServing
from resources.traffic import Traffic, increase
from tests.fakes.packages import FEATURES, SHOPS, records
from tests.fakes.releases import MODEL, PUBLIC, make_release, sign_release

pytestmark = pytest.mark.xdist_group("recorded_predictions")
INFER = f"/v2/models/{MODEL}/infer"
LOG = PredictionLog(hash=["shop"], omit=["at"], flush="200ms").settings({})
SETTINGS = ServerSettings(answer_within_s=2.0, log=LOG)


@dataclass
class Stack:
    """Version 1 is good; 2 gives NaN; 3 always the same; 4 is another good one."""

    serving: LocalServing
    releases: dict[int, Release]
    bodies: list[bytes]
    address: str

    def ask(self, times: int, prefix: str) -> list[httpx.Response]:
        with httpx.Client(base_url=self.address, timeout=30) as client:
            return [
                client.post(INFER, content=self.bodies[n % len(self.bodies)], headers=_id(prefix, n))
                for n in range(times)
            ]

    def traffic(self, version: int) -> Traffic:
        counted = self.serving.traffic("production", MODEL)
        return next(traffic for traffic in counted if traffic.version == version)

    def server(self, version: int) -> ServerStatus:
        return next(s for s in self.serving.status().servers if s.version == version)

    def recorded(self, prefix: str, version: int) -> pl.DataFrame:
        rows = PredictionFolder(self.serving.folder).scan(MODEL, versions=[version]).collect()
        return rows.filter(pl.col("request_id").str.starts_with(prefix))


def _id(prefix: str, number: int) -> dict[str, str]:
    return {"x-request-id": f"{prefix}-{number:04d}"}


def changed(folder: Path, amount: str, version: int) -> Release:
    """A release whose features function gives this amount, whatever the record says."""
    good = make_release(folder / "good", version=version).package
    package: Package = read_package(good)
    features = FEATURES.replace('pl.col("amount").log1p()', amount).replace(
        'pl.col("at").dt.hour()', "pl.lit(3, dtype=pl.Int8)"
    )
    features = features.replace('pl.col("size").fill_null(0)', "pl.lit(10, dtype=pl.Int64)")
    written = write_package(
        folder / "package",
        package.signature,
        model=package.files["model.onnx"],
        features=features.replace('shop="shop"', 'shop=pl.lit("a")').encode(),
        lookups={"shops": SHOPS},
    )
    return sign_release(folder, written, version=version)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("recorded")
    releases = {
        1: make_release(folder / "1", version=1),
        2: changed(folder / "2", 'pl.col("amount") * float("nan")', 2),
        3: changed(folder / "3", 'pl.col("amount") * 0', 3),
        4: make_release(folder / "4", version=4),
    }
    releases = {version: replace(release, settings=SETTINGS) for version, release in releases.items()}
    inputs = read_package(releases[1].package).signature.inputs
    bodies = [json.dumps(protocol.encode(records(50).slice(n, 1), inputs)).encode() for n in range(50)]
    serving = LocalServing(folder / "serving", keys=folder / "keys")
    try:
        serving.launch(releases[1], [PUBLIC])
        serving.route("production", MODEL, {1: 100})
        yield Stack(serving, releases, bodies, serving.status().addresses["production"])
    finally:
        serving.stop()
        processes.end_all(serving.folder)


@pytest.fixture
def good(stack: Stack) -> Stack:
    """Version 1 alone."""
    stack.serving.mirror("production", MODEL, None)
    stack.serving.route("production", MODEL, {1: 100})
    for server in stack.serving.status().servers:
        if server.version != 1:
            stack.serving.retire("production", MODEL, server.version)
    return stack


def until(done: Callable[[], bool], patience_s: float = 30.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_a_canary_that_gives_nan_is_not_seen_by_users_and_counted(good: Stack) -> None:
    good.serving.launch(good.releases[2], [PUBLIC])
    good.serving.route("production", MODEL, {1: 50, 2: 50})
    answers = good.ask(60, "nan")
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-model-version"] for answer in answers} == {"1"}
    seen = good.traffic(2)
    assert seen.errors == 0
    assert seen.non_finite == seen.failed_attempts >= 1
    assert seen.scores == {}


def test_a_constant_score_is_one_bin(good: Stack) -> None:
    good.serving.launch(good.releases[3], [PUBLIC])
    good.serving.route("production", MODEL, {1: 50, 3: 50})
    before = {version: good.traffic(version) for version in (1, 3)}
    good.ask(80, "constant")
    constant, varied = (increase(before[version], good.traffic(version)) for version in (3, 1))
    assert len(constant.scores) == 1
    assert sum(constant.scores.values()) == constant.requests >= 20
    assert len(varied.scores) > 3


def test_champion_and_shadow_are_joined_by_request(good: Stack) -> None:
    good.serving.launch(good.releases[4], [PUBLIC])
    good.serving.mirror("production", MODEL, 4)
    answers = good.ask(60, "join")
    assert {answer.headers["x-model-version"] for answer in answers} == {"1"}
    until(lambda: good.recorded("join", 4).height == 60 == good.recorded("join", 1).height)
    champion, shadow = good.recorded("join", 1), good.recorded("join", 4)
    assert (set(champion["role"]), set(shadow["role"])) == ({"live"}, {"shadow"})
    found = agreement(champion, shadow)
    assert found.joined == 60
    assert found.max_difference is not None
    assert 0 < found.max_difference < 1
    served = {answer.json()["outputs"][1]["data"][0] for answer in answers}
    assert {int(label) for label in champion["label"]} == served


def test_what_is_recorded_is_what_is_declared(good: Stack) -> None:
    began = datetime.now(UTC)
    good.ask(20, "declared")
    until(lambda: good.recorded("declared", 1).height == 20)
    rows = good.recorded("declared", 1)
    inputs = rows["inputs"].struct.unnest()
    assert inputs.columns == ["amount", "shop"]
    assert inputs["amount"].to_list() == records(50)["amount"].head(20).to_list()
    assert set(inputs["shop"]).isdisjoint({"a", "b", "c"})
    assert 1 < inputs["shop"].n_unique() <= 3
    assert rows["at"].min() >= began  # type: ignore[operator]
    assert (rows["latency_ms"] > 0).all()


def test_a_server_that_is_told_to_end_leaves_nothing_unwritten(good: Stack) -> None:
    good.ask(30, "ended")
    good.serving.stop()
    assert good.recorded("ended", 1).height == 30
    good.address = good.serving.start().addresses["production"]


def test_a_killed_server_loses_at_most_what_the_last_flush_had_not_seen(good: Stack) -> None:
    good.ask(10, "before")
    until(lambda: good.recorded("before", 1).height == 10)
    pid = good.server(1).pid
    assert pid is not None
    started = good.traffic(1).started
    os.kill(pid, signal.SIGKILL)
    until(lambda: good.traffic(1).started not in ("", started))
    assert good.recorded("before", 1).height == 10
    good.ask(10, "later")
    until(lambda: good.recorded("later", 1).height == 10)


def test_a_log_that_cannot_be_written_is_told_and_serving_goes_on(good: Stack) -> None:
    folder = good.serving.folder / "predictions" / "production" / MODEL / "4"
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(folder.with_name("moved"))
    folder.write_text("a file where the folder should be")
    try:
        good.serving.launch(good.releases[4], [PUBLIC])
        good.serving.route("production", MODEL, {4: 100})
        assert {answer.status_code for answer in good.ask(20, "unwritten")} == {200}
        until(lambda: any("were not recorded" in text for text in good.serving.status().problems))
    finally:
        folder.unlink()


def test_a_server_that_outgrows_its_memory_does_not_get_ready(good: Stack) -> None:
    small = replace(good.releases[4], settings=ServerSettings(memory_bytes=20_000_000))
    with pytest.raises(LaunchRefused, match="more than the 20 MB"):
        good.serving.launch(small, [PUBLIC])
    assert good.serving.routes("production", MODEL) == {1: 100}
