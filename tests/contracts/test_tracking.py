"""What every tracking keeps to."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from resources.mlflow_store import MlflowStore
from resources.protocols import ResourceError, Tracking
from resources.tracking import MlflowTracking
from tests.fakes.tracking import FolderTracking

PROJECT = Path(__file__).parents[2]


@pytest.fixture(params=["mlflow", "fake"])
def tracking(request: pytest.FixtureRequest, tmp_path: Path) -> Tracking:
    if request.param == "fake":
        return FolderTracking(tmp_path / "runs")
    return MlflowTracking(request.getfixturevalue("mlflow_store"))


def recorded(tracking: Tracking, run_id: str) -> dict[str, Any]:
    if isinstance(tracking, FolderTracking):
        run = tracking.runs[run_id]
        return {
            "status": run.status,
            "params": run.params,
            "metrics": run.metrics,
            "tags": run.tags,
            "parent": run.parent,
        }
    assert isinstance(tracking, MlflowTracking)
    stored = tracking._store.client().get_run(run_id)
    data = stored.data
    return {
        "status": stored.info.status,
        "params": data.params,
        "metrics": data.metrics,
        "tags": data.tags,
        "parent": data.tags.get("mlflow.parentRunId"),
    }


def test_a_run_ends_finished(tracking: Tracking) -> None:
    with tracking.run("flight_delay", "train", {"commit": "c" * 40}) as run:
        assert recorded(tracking, run.id)["status"] == "RUNNING"

    assert recorded(tracking, run.id)["status"] == "FINISHED"
    assert recorded(tracking, run.id)["tags"]["commit"] == "c" * 40


@pytest.mark.parametrize("error", [ValueError("no rows"), KeyboardInterrupt()])
def test_a_run_whose_block_raises_ends_failed_and_the_error_goes_on(
    tracking: Tracking, error: BaseException
) -> None:
    with pytest.raises(type(error)), tracking.run("flight_delay", "train", {}) as run:
        raise error

    assert recorded(tracking, run.id)["status"] == "FAILED"


def test_two_runs_at_once_do_not_mix(tracking: Tracking) -> None:
    with tracking.run("flight_delay", "a", {}) as first, tracking.run("fraud_detector", "b", {}) as second:
        tracking.log(first.id, metrics={"roc_auc": 0.7})
        tracking.log(second.id, metrics={"roc_auc": 0.9})

    assert recorded(tracking, first.id)["metrics"] == {"roc_auc": 0.7}
    assert recorded(tracking, second.id)["metrics"] == {"roc_auc": 0.9}


def test_an_ended_run_takes_the_evaluation_s_results(tracking: Tracking) -> None:
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.log(run.id, params={"max_iter": 100, "early_stopping": None})

    tracking.log(run.id, metrics={"roc_auc": 0.71, "brier": 0.1}, tags={"verdict": "passed"})

    found = recorded(tracking, run.id)
    assert found["status"] == "FINISHED"
    assert found["params"] == {"max_iter": "100", "early_stopping": "None"}
    assert found["metrics"] == {"roc_auc": 0.71, "brier": 0.1}
    assert found["tags"]["verdict"] == "passed"


def test_more_than_one_batch_is_kept_whole(tracking: Tracking) -> None:
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.log(
            run.id,
            params={f"p{number}": number for number in range(250)},
            metrics={f"m{number}": number for number in range(120)},
            tags={f"t{number}": "x" for number in range(101)},
        )

    found = recorded(tracking, run.id)
    assert len(found["params"]) == 250
    assert len(found["metrics"]) == 120
    assert sum(key.startswith("t") for key in found["tags"]) >= 101


def test_a_run_lies_below_its_parent_and_ends_by_itself(tracking: Tracking) -> None:
    with tracking.run("flight_delay", "train", {}) as parent:
        with (
            pytest.raises(ValueError, match="no rows"),
            tracking.run("flight_delay", "trial 0", {"slot": "0"}, parent=parent.id) as first,
        ):
            raise ValueError("no rows")
        with tracking.run("flight_delay", "trial 1", {}, parent=parent.id) as second:
            tracking.log(second.id, params={"depth": 3}, metrics={"roc_auc": 0.7})

    assert [recorded(tracking, run.id)["parent"] for run in (parent, first, second)] == [
        None,
        *[parent.id] * 2,
    ]
    statuses = [recorded(tracking, run.id)["status"] for run in (parent, first, second)]
    assert statuses == ["FINISHED", "FAILED", "FINISHED"]
    assert recorded(tracking, second.id)["metrics"] == {"roc_auc": 0.7}


def test_files_and_folders_come_back_as_they_were(tracking: Tracking, package: Path, tmp_path: Path) -> None:
    verdict = tmp_path / "verdict.json"
    verdict.write_text(json.dumps({"payload": "…"}))
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.store(run.id, package, "package")
        tracking.store(run.id, verdict, "")

    folder = tracking.fetch(run.id, "package", tmp_path / "got")
    file = tracking.fetch(run.id, "verdict.json", tmp_path / "got")
    nested = tracking.fetch(run.id, "package/lookups/planes.parquet", tmp_path / "got")

    assert folder == tmp_path / "got" / "package"
    assert tree(folder) == tree(package)
    assert file.read_text() == verdict.read_text()
    assert nested == tmp_path / "got" / "planes.parquet"
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == [
        "package",
        "planes.parquet",
        "verdict.json",
    ]


def test_what_is_kept_can_be_asked_for(tracking: Tracking, package: Path) -> None:
    with tracking.run("model", "first", {}) as run:
        assert not tracking.has(run.id, "package")
        tracking.store(run.id, package, "package")
        assert tracking.has(run.id, "package")
        assert tracking.has(run.id, "package/manifest.json")
        assert not tracking.has(run.id, "approval.json")


def test_fetching_again_replaces_what_is_there(tracking: Tracking, package: Path, tmp_path: Path) -> None:
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.store(run.id, package, "package")
    (tmp_path / "got" / "package").mkdir(parents=True)
    (tmp_path / "got" / "package" / "stale").touch()

    assert tree(tracking.fetch(run.id, "package", tmp_path / "got")) == tree(package)


def test_what_is_missing_is_named(tracking: Tracking, tmp_path: Path) -> None:
    with tracking.run("flight_delay", "train", {}) as run:
        pass

    with pytest.raises(ResourceError, match=r"verdict\.json"):
        tracking.fetch(run.id, "verdict.json", tmp_path / "got")
    with pytest.raises(ResourceError, match="nothing to store"):
        tracking.store(run.id, tmp_path / "absent", "package")
    with pytest.raises(ResourceError, match="f" * 32):
        tracking.log("f" * 32, metrics={"roc_auc": 1.0})


@pytest.mark.parametrize(
    "path", ["../other", "package/../../other", "/etc/passwd", "package/%2e%2e/x", "package\\..\\x", "", "."]
)
def test_a_path_that_leaves_the_run_is_refused(tracking: Tracking, tmp_path: Path, path: str) -> None:
    with tracking.run("flight_delay", "train", {}) as run:
        pass

    with pytest.raises(ResourceError, match=r"refused|no artifact"):
        tracking.fetch(run.id, path, tmp_path / "got")
    assert not (tmp_path / "got" / "passwd").exists()


def test_a_link_is_not_stored(tracking: Tracking, package: Path) -> None:
    (package / "link").symlink_to("/etc/passwd")

    with (
        tracking.run("flight_delay", "train", {}) as run,
        pytest.raises(ResourceError, match="symbolic link"),
    ):
        tracking.store(run.id, package, "package")


def test_a_person_finds_the_run(tracking: Tracking) -> None:
    with tracking.run("flight_delay", "train", {}) as run:
        pass

    assert run.id in run.url
    assert tracking.url(run.id) == run.url


def test_threads_that_open_the_same_new_experiment_agree(tracking: Tracking) -> None:
    def train(name: str) -> str:
        with tracking.run("brand_new", name, {}) as run:
            tracking.log(run.id, params={"name": name})
        return run.id

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(train, "abcd"))

    assert [recorded(tracking, run_id)["params"]["name"] for run_id in ids] == list("abcd")


# -- MLflow alone ----------------------------------------------------------------------------------------


def test_the_pages_address_is_given_where_one_is_known(mlflow_store: MlflowStore) -> None:
    store = MlflowStore(mlflow_store.uri, mlflow_store.artifacts, ui="http://127.0.0.1:5000/")

    with MlflowTracking(store).run("flight_delay", "train", {}) as run:
        pass

    assert run.url.startswith("http://127.0.0.1:5000/#/experiments/")


def test_artifacts_lie_in_the_home_by_experiment(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    with MlflowTracking(mlflow_store).run("flight_delay", "train", {}) as run:
        pass

    folder = tmp_path / "mlflow" / "artifacts" / "flight_delay" / run.id / "artifacts"
    assert run.url == folder.as_uri()


def test_mlflow_s_columns_are_filled(mlflow_store: MlflowStore) -> None:
    tracking = MlflowTracking(mlflow_store)
    with tracking.run("flight_delay", "train", {"commit": "c" * 40}) as run:
        pass

    stored = mlflow_store.client().get_run(run.id)
    assert stored.info.run_name == "train"
    assert stored.data.tags["mlflow.source.git.commit"] == "c" * 40


def test_a_long_value_says_that_it_was_cut(mlflow_store: MlflowStore) -> None:
    tracking = MlflowTracking(mlflow_store)
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.log(run.id, params={"data": "x" * 10_000}, tags={"data": "x" * 10_000})

    found = recorded(tracking, run.id)
    assert found["params"]["data"].endswith("… (cut; 10000 characters)")
    assert found["tags"]["data"].endswith("… (cut; 10000 characters)")


def test_a_deleted_experiment_names_the_command_that_restores_it(mlflow_store: MlflowStore) -> None:
    with MlflowTracking(mlflow_store).run("flight_delay", "train", {}):
        pass
    client = mlflow_store.client()
    client.delete_experiment(client.get_experiment_by_name("flight_delay").experiment_id)

    with (
        pytest.raises(ResourceError, match="mlflow experiments restore --experiment-id"),
        MlflowTracking(mlflow_store).run("flight_delay", "train", {}),
    ):
        pass


def test_a_store_that_cannot_be_written_is_named() -> None:
    with pytest.raises(ResourceError, match=r"/proc/mlflow/mlflow\.db failed.*MLFLOW_TRACKING_URI"):
        MlflowStore.in_folder(Path("/proc/mlflow")).client()


def test_the_environment_chooses_the_store(tmp_path: Path) -> None:
    local = MlflowStore.from_environment({}, tmp_path)
    other = MlflowStore.from_environment({"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/x/my.db"}, tmp_path)
    remote = MlflowStore.from_environment({"MLFLOW_TRACKING_URI": "https://ml.example.org"}, tmp_path)
    shared = MlflowStore.from_environment(
        {"MLFLOW_TRACKING_URI": "https://ml.example.org", "MLCICD_MLFLOW_ARTIFACTS": "/mnt/ml"}, tmp_path
    )

    assert local == MlflowStore.in_folder(tmp_path)
    assert other.artifacts == (tmp_path / "x" / "artifacts").as_uri()
    assert (remote.uri, remote.artifacts) == ("https://ml.example.org", None)
    assert shared.artifacts == "file:///mnt/ml"


def test_a_password_is_never_shown() -> None:
    store = MlflowStore("postgresql://user:s3cret@host/mlflow")

    assert "s3cret" not in f"{store!r} {MlflowTracking(store)!r}"


# What makes MLflow keep silent of itself would hide whether we made it so.
NOISE = {"CI", "PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY"}
FIRST_TOUCH = """
import logging, socket, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO)
class Shut(socket.socket):
    def connect(self, address): raise AssertionError(f"called {address}")
socket.socket = Shut
from resources.mlflow_store import MlflowStore
from resources.tracking import MlflowTracking
with MlflowTracking(MlflowStore.in_folder(Path(sys.argv[1]))).run("flight_delay", "train", {}) as run:
    print(run.id)
from mlflow.telemetry.utils import is_telemetry_disabled
assert is_telemetry_disabled()
"""


def test_processes_that_open_a_new_store_at_once_all_succeed_silently(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in NOISE}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FIRST_TOUCH, str(tmp_path / "mlflow")],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outcomes = [(*process.communicate(timeout=120), process.returncode) for process in processes]

    assert [code for _, _, code in outcomes] == [0, 0, 0], outcomes
    assert [errors for _, errors, _ in outcomes] == ["", "", ""]
    assert len({output for output, _, _ in outcomes}) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow"]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
