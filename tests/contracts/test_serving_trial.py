"""What a server for evaluation promises, whoever starts it: to be measured, and to serve nobody."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving.client import describe, predict
from resources.protocols import Limits, ResourceError, ServingTarget, Trial, TrialEnded
from resources.serving_local import LocalServing
from tests.fakes.packages import build_package, records
from tests.fakes.releases import MODEL
from tests.fakes.serving import FakeServing

pytestmark = pytest.mark.xdist_group("serving_target")


@dataclass(frozen=True)
class Place:
    target: ServingTarget
    trial: Trial


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(tmp_path_factory.mktemp("candidate") / "package")


@pytest.fixture(scope="module", params=["fake", "local"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, package: Package
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("home") / "serving"
    target: ServingTarget = FakeServing() if request.param == "fake" else LocalServing(folder)
    limits = Limits(memory_mb=2_000, cpus=1, threads=1)
    with target.trial(package.folder, model=MODEL, digest=package.digest, limits=limits) as trial:
        yield Place(target, trial)
    assert not (folder / "state.json").exists()  # neither a supervisor nor a proxy knew of it


def test_its_maker_is_answered_as_the_package_answers(place: Place, package: Package) -> None:
    rows = records(20, seed=3)
    answer = predict(place.trial.address, MODEL, rows, package.signature.inputs, headers=place.trial.headers)
    np.testing.assert_allclose(answer.scores, Scorer.load(package).predict(rows).scores, atol=1e-6)


def test_it_is_version_0_which_no_registry_has(place: Place, package: Package) -> None:
    assert describe(place.trial.address, MODEL, headers=place.trial.headers)["versions"] == ["0"]


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer guess", "Basic Zm9yLXRoaXM="])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/v2/models/{MODEL}/infer"),
        ("GET", f"/v2/models/{MODEL}/ready"),
        ("GET", "/v2/health/ready"),
        ("GET", f"/v2/models/{MODEL}"),
    ],
)
def test_a_proxy_and_everybody_else_are_refused(
    place: Place, token: str | None, method: str, path: str
) -> None:
    headers = {} if token is None else {"authorization": token}
    answer = httpx.request(method, place.trial.address + path, headers=headers, json={"inputs": []})
    assert answer.status_code == 403


def test_start_and_memory_are_measured(place: Place) -> None:
    assert place.trial.cold_start_s > 0
    assert place.trial.peak_memory_mb() > 10
    assert place.trial.ended() == ""


def test_it_is_not_launched_and_cannot_be_routed(place: Place) -> None:
    status = place.target.status()
    assert (status.running, list(status.servers)) == (False, [])
    for environment in ("staging", "production", "evaluation"):
        with pytest.raises(ResourceError):
            place.target.route(environment, MODEL, {0: 100})  # type: ignore[arg-type]


def test_another_digest_is_refused(place: Place, package: Package) -> None:
    with (
        pytest.raises(TrialEnded, match="is not the expected"),
        place.target.trial(package.folder, model=MODEL, digest="a" * 64, limits=Limits()),
    ):
        pytest.fail("it started")


def test_a_changed_byte_is_refused(place: Place, tmp_path: Path) -> None:
    package = build_package(tmp_path / "package")
    (package.folder / "features.py").write_text("import os\n")
    with (
        pytest.raises(TrialEnded, match=r"features\.py"),
        place.target.trial(package.folder, model=MODEL, digest=package.digest, limits=Limits()),
    ):
        pytest.fail("it started")


def test_it_ends_with_the_block(package: Package) -> None:
    target = LocalServing(package.folder.parent / "serving")
    with target.trial(package.folder, model=MODEL, digest=package.digest, limits=Limits()) as trial:
        address = trial.address
    assert trial.ended()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/v2/health/live")
    with pytest.raises(TrialEnded, match="ended"):
        trial.peak_memory_mb()


def test_one_that_exceeds_its_memory_is_ended_and_says_so(package: Package) -> None:
    target = LocalServing(package.folder.parent / "serving")
    with (
        pytest.raises(TrialEnded, match=r"MB of memory are more than the 50 MB that are declared"),
        target.trial(package.folder, model=MODEL, digest=package.digest, limits=Limits(memory_mb=50)),
    ):
        pytest.fail("it started")


def test_json_is_what_it_takes(place: Place) -> None:
    answer = httpx.post(
        f"{place.trial.address}/v2/models/{MODEL}/infer",
        headers={**place.trial.headers, "content-type": "text/xml"},
        content=json.dumps({"inputs": []}),
    )
    assert (answer.status_code, "application/json" in answer.json()["error"]) == (415, True)
