"""The fluent API in a person's code lands in the run that is open, and nowhere else."""

import os
from pathlib import Path
from uuid import uuid4

import pytest

from resources.dagster_mlflow_bridge import active_run
from resources.mlflow_store import MlflowStore, quieten
from resources.protocols import ResourceError
from resources.tracking import MlflowTracking


@pytest.fixture
def tracking(mlflow_store: MlflowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowTracking:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # What MLflow's set_… functions leave behind must not reach the next test.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    quieten()
    return MlflowTracking(mlflow_store, surrounding=active_run)


def test_what_a_person_s_code_logs_is_in_the_training_run(
    tracking: MlflowTracking, mlflow_store: MlflowStore, tmp_path: Path
) -> None:
    import mlflow

    dagster_run = str(uuid4())
    with tracking.run("flight_delay", "train", {"dagster_run_id": dagster_run}) as run:
        mlflow.log_metric("trees", 12)
        with mlflow.start_run(nested=True):
            mlflow.log_param("trial", 1)
        tracking.log(run.id, metrics={"roc_auc": 0.7})

    stored = mlflow_store.client().get_run(run.id)
    assert stored.data.metrics == {"trees": 12, "roc_auc": 0.7}
    assert stored.data.tags["dagster_run_id"] == dagster_run
    assert (stored.info.run_name, stored.info.status) == ("train", "FINISHED")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_failed_training_ends_failed(tracking: MlflowTracking, mlflow_store: MlflowStore) -> None:
    tags = {"dagster_run_id": str(uuid4())}
    with pytest.raises(ValueError, match="no rows"), tracking.run("flight_delay", "train", tags) as run:
        raise ValueError("no rows")

    assert mlflow_store.client().get_run(run.id).info.status == "FAILED"


def test_one_run_after_the_other_and_the_global_state_is_put_back(
    tracking: MlflowTracking, mlflow_store: MlflowStore
) -> None:
    import mlflow

    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")}
    set_before = mlflow.is_tracking_uri_set()
    for model in ("flight_delay", "fraud_detector", "flight_delay"):
        with tracking.run(model, "train", {"dagster_run_id": str(uuid4())}) as run:
            mlflow.log_param("model", model)
        assert mlflow_store.client().get_run(run.id).data.params == {"model": model}
        assert mlflow.active_run() is None

    assert {name: value for name, value in os.environ.items() if name.startswith("MLFLOW")} == before
    assert mlflow.is_tracking_uri_set() == set_before


def test_a_stray_active_run_is_refused_and_the_training_ends_failed(
    tracking: MlflowTracking, mlflow_store: MlflowStore, tmp_path: Path
) -> None:
    import mlflow

    expected = pytest.raises(ResourceError, match=r"is still active.*mlflow\.end_run")
    tags = {"dagster_run_id": str(uuid4())}
    mlflow.set_tracking_uri(mlflow_store.uri)
    mlflow.set_experiment("notebook")
    try:
        with mlflow.start_run(), expected, tracking.run("flight_delay", "train", tags):
            raise AssertionError("training began in somebody else's run")
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]

    client = mlflow_store.client()
    (failed,) = client.search_runs([client.get_experiment_by_name("flight_delay").experiment_id])
    assert failed.info.status == "FAILED"


def test_outside_dagster_nothing_is_made_active(tracking: MlflowTracking) -> None:
    import mlflow

    with tracking.run("flight_delay", "train", {}):
        assert mlflow.active_run() is None
