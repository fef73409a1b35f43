"""dagster-mlflow where it does the job: MLflow's fluent API in a person's own code.

An estimator, a callback or `mlflow.autolog()` logs to "the active run". Without one MLflow starts a stray run
in the current folder; so while a training run is open, `mlflow_tracking` makes it the active one and tags it
with the Dagster run. What that resource does not do right is left out: the end of a run (with MLflow 3 a
failed job's run ends FINISHED, and the hook `end_mlflow_on_run_finished` guesses the last step) is ours, in
`MlflowTracking.run`, and MLflow's global state is put back afterwards.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from resources.mlflow_store import MlflowStore, quieten
from resources.protocols import ResourceError

DAGSTER_RUN = "dagster_run_id"  # the tag by which dagster-mlflow finds a Dagster run's MLflow run
_GLOBALS = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")


@contextmanager
def active_run(
    store: MlflowStore, run_id: str, experiment: str, name: str, tags: Mapping[str, str]
) -> Iterator[None]:
    """Make the run the active one of this thread; pass as `MlflowTracking(…, surrounding=active_run)`.

    `tags` name the Dagster run; without it (a run outside Dagster) nothing is made active. Raises
    ResourceError when another run is active already.
    """
    if DAGSTER_RUN not in tags:
        yield
        return
    # What dagster-mlflow reads of Dagster's context: a whole one would cost an instance for each training.
    context = SimpleNamespace(
        log=logging.getLogger(__name__),
        dagster_run=SimpleNamespace(job_name=name),  # it names the MLflow run after the job
        run_id=tags[DAGSTER_RUN],
        resource_config={
            "experiment_name": experiment,
            "mlflow_tracking_uri": store.uri,
            "mlflow_run_id": run_id,
        },
    )
    with _own_globals(), contextmanager(_resource())(context):
        yield


def _resource() -> Any:
    quieten()
    # Known, and why no other file knows dagster-mlflow.
    warnings.filterwarnings("ignore", message=r".*(MlFlow|_mlflow_|mlflow_tracking).* is currently in beta")
    from dagster_mlflow import mlflow_tracking

    return mlflow_tracking.resource_fn


@contextmanager
def _own_globals() -> Iterator[None]:
    quieten()
    import mlflow

    mlflow_globals: Any = mlflow
    stray = mlflow_globals.active_run()
    if stray:
        raise ResourceError(
            f"the MLflow run {stray.info.run_id} is still active in this process: end it by mlflow.end_run()"
        )
    uri = mlflow_globals.get_tracking_uri() if mlflow_globals.is_tracking_uri_set() else None
    environment = {name: os.environ.get(name) for name in _GLOBALS}
    try:
        yield
    finally:
        while mlflow_globals.active_run():  # nested ones of the person's code as well
            mlflow_globals.end_run()
        mlflow_globals.set_tracking_uri(uri)
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
