"""The main job on a slice of the real flights, step by step in one home."""

import json
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving.client import predict
from mlcicd_assets.serving.protocol import encode
from resources.ledger import SqlLedger
from tests.e2e.conftest import Home
from tests.fakes.load import constant_load

ALL = "group:code,group:planes,group:weather,group:flights,group:flight_delay"
pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(600)]


def champion(home: Home) -> str | None:
    return SqlLedger(f"sqlite:///{home.path / 'ledger.db'}").pointer("champion/flight_delay")


def status(home: Home) -> dict:
    done = home.run("mlcicd", "status", "flight_delay", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def released(home: Home) -> Home:
    """The first release: five months landed, version 1 serves."""
    home.land([f"2013-{month:02}" for month in range(1, 6)])
    done = home.materialize(ALL, "2013-01...2013-05")
    assert done.returncode == 0, done.stderr[-6000:]
    return home


def test_the_first_release_serves_verified_predictions(released: Home):
    assert champion(released) == "1"
    verified = released.run("mlcicd", "verify", "flight_delay")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    predicted = released.run("mlcicd", "predict", "flight_delay", "--example", "--json")
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout)["version"] in (1, "1")


def test_nothing_is_stale_after_a_release(released: Home):
    done = released.run("mlcicd", "stale", "--json")
    stale = [entry for entry in json.loads(done.stdout) if entry["state"] == "stale"]
    assert stale == []


def test_a_second_release_takes_over_without_a_failed_request(released: Home):
    released.land(["2013-06"])
    package = served(released, "1")
    rows = pl.read_parquet(released.file("2013-06")).head(1)
    address = status(released)["serving"]["addresses"]["production"]
    inputs = Scorer.load(package).inputs
    assert predict(address, "flight_delay", rows, inputs).version == "1"
    body = json.dumps(encode(rows, inputs)).encode()
    with constant_load(address, "/v2/models/flight_delay/infer", body, per_second=100) as load:
        done = released.materialize(ALL, "2013-06...2013-06")
    assert done.returncode == 0, done.stderr[-6000:]
    assert load.failures == []
    assert load.total > 1000
    assert set(load.answered) == {"1", "2"}
    assert predict(address, "flight_delay", rows, inputs).version == "2"
    assert champion(released) == "2"


def test_a_month_without_labels_is_named_and_changes_nothing(released: Home):
    released.land(["2013-07"])
    released.rewrite("2013-07", lambda flights: flights.with_columns(arr_delay=pl.lit(None, pl.Int16)))
    before = champion(released)
    done = released.materialize(ALL, "2013-07...2013-07")
    assert done.returncode == 1
    assert "labels_present" in done.stderr
    assert "2013-07" in done.stderr
    assert champion(released) == before


def test_a_flipped_byte_does_not_serve_and_is_healed_from_the_registry(released: Home):
    version = champion(released)
    released.run("mlcicd", "serve", "stop")
    package = served(released, version)
    original = (package / "model.onnx").read_bytes()
    flip(package / "model.onnx", original)
    done = released.run("mlcicd", "serve", "start")
    assert f"version {version} was started again" in done.stdout
    assert (package / "model.onnx").read_bytes() == original
    assert released.run("mlcicd", "verify", "flight_delay").returncode == 0


def served(home: Home, version: str | None) -> Path:
    """The package that the production server of a version was started from."""
    return home.path / "serving" / "servers" / "production" / "flight_delay" / str(version) / "package"


def flip(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
