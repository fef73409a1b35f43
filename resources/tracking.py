"""Runs, parameters, metrics and artifacts in MLflow."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from resources.mlflow_artifacts import delete_artifacts, fetch_artifact
from resources.mlflow_store import MlflowStore
from resources.protocols import ResourceError, Run, RunAge

# MLflow's limits for one batch and for one value.
_PER_BATCH = 100
_LONGEST = {"param": 6000, "tag": 5000}
_PARENT = "mlflow.parentRunId"

# What surrounds a run while it is open: (store, run id, experiment, name, tags) -> context manager.
Surrounding = Callable[[MlflowStore, str, str, str, Mapping[str, str]], AbstractContextManager[None]]


class MlflowTracking:
    """Every call names its run, so that threads and processes cannot log into each other's.

    `surrounding` is entered while a run is open; see `dagster_mlflow_bridge`.
    """

    def __init__(self, store: MlflowStore, *, surrounding: Surrounding | None = None) -> None:
        self._store = store
        self._surrounding = surrounding
        self._experiments: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"MlflowTracking({self._store.place})"

    @contextmanager
    def run(
        self, experiment: str, name: str, tags: Mapping[str, str], *, parent: str | None = None
    ) -> Iterator[Run]:
        """Open a run, below a `parent` or not; it ends FINISHED, or FAILED when the block raises.

        Raises ResourceError.
        """
        client = self._store.client()
        experiment_id = self._experiment(experiment)
        with self._store.explained():
            all_tags = {**_origin(tags), **({_PARENT: parent} if parent else {}), **tags}
            made = client.create_run(experiment_id, tags=_tags(all_tags), run_name=name)
        run = Run(made.info.run_id, self._address(made.info))
        try:
            # What a person's own code logs belongs to the parent, which is the active run.
            with nullcontext() if parent else self._around(run.id, experiment, name, tags):
                yield run
        except BaseException as error:
            self._end(run.id, "FAILED", because=error)
            raise
        self._end(run.id, "FINISHED")

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record in as few batches as MLflow allows; an ended run takes more as well."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        batches = zip_longest(
            _chunks([Metric(key, float(value), now, 0) for key, value in (metrics or {}).items()]),
            _chunks([Param(key, _text(value, _LONGEST["param"])) for key, value in (params or {}).items()]),
            _chunks([RunTag(key, value) for key, value in _tags(tags or {}).items()]),
            fillvalue=(),
        )
        client = self._store.client()
        with self._store.explained():
            for some_metrics, some_params, some_tags in batches:
                client.log_batch(run_id, metrics=some_metrics, params=some_params, tags=some_tags)

    def store(self, run_id: str, source: Path, into: str) -> None:
        """Keep a file, or a folder's files, under the artifact path `into`; empty is the run's root."""
        if not source.exists():
            raise ResourceError(f"there is nothing to store at {source}")
        if any(path.is_symlink() for path in [source, *source.rglob("*")]):
            raise ResourceError(f"{source} is not stored: it holds a symbolic link")
        client = self._store.client()
        with self._store.explained():
            if source.is_dir():
                client.log_artifacts(run_id, str(source), into or None)
            else:
                client.log_artifact(run_id, str(source), into or None)

    def has(self, run_id: str, path: str) -> bool:
        """Whether the run keeps a file or folder of this path; raises ResourceError."""
        client = self._store.client()
        parent = str(PurePosixPath(path).parent)
        with self._store.explained():
            kept = client.list_artifacts(run_id, None if parent == "." else parent)
        return any(entry.path == path for entry in kept)

    def fetch(self, run_id: str, path: str, into: Path) -> Path:
        """Bring an artifact file or folder to `into`; returns its local path. Raises ResourceError."""
        return fetch_artifact(self._store, run_id, path, into)

    def url(self, run_id: str) -> str:
        """The run's page, or the folder of its files where no MLflow server is known."""
        client = self._store.client()
        with self._store.explained():
            return self._address(client.get_run(run_id).info)

    def list_runs(self, experiment: str) -> list[RunAge]:
        """The experiment's runs that are not deleted, oldest first; empty for an unknown one."""
        client = self._store.client()
        found: list[Any] = []
        with self._store.explained():
            known = client.get_experiment_by_name(experiment)
            token = None
            while known is not None:
                page = client.search_runs([known.experiment_id], page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        return [
            RunAge(
                run.info.run_id,
                datetime.fromtimestamp((run.info.start_time or 0) / 1000, UTC).isoformat(),
                run.data.tags.get("mlflow.parentRunId"),
            )
            for run in sorted(found, key=lambda run: (run.info.start_time or 0, run.info.run_id))
        ]

    def delete(self, run_id: str) -> None:
        """Remove a run's artifacts, then mark the run deleted (`mlflow gc` forgets it for good)."""
        from mlflow.exceptions import MlflowException

        client = self._store.client()
        with self._store.explained():
            try:
                info = client.get_run(run_id).info
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return
                raise
            if info.lifecycle_stage == "deleted":
                return
            delete_artifacts(self._store, info.artifact_uri)
            client.delete_run(run_id)

    def _around(
        self, run_id: str, experiment: str, name: str, tags: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        if self._surrounding is None:
            return nullcontext()
        return self._surrounding(self._store, run_id, experiment, name, tags)

    def _address(self, info: Any) -> str:
        pages = self._store.ui or (self._store.uri if self._store.uri.startswith("http") else None)
        if pages:
            return f"{pages.rstrip('/')}/#/experiments/{info.experiment_id}/runs/{info.run_id}"
        return str(info.artifact_uri)

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = self._find_or_make(name)
        return self._experiments[name]

    def _find_or_make(self, name: str) -> str:
        client = self._store.client()
        with self._store.explained():
            found = client.get_experiment_by_name(name) or self._make(name)
        if found.lifecycle_stage != "active":
            raise ResourceError(
                f"the experiment {name!r} was deleted in MLflow at {self._store.place}. "
                f"Run: mlflow experiments restore --experiment-id {found.experiment_id}"
            )
        return str(found.experiment_id)

    def _make(self, name: str) -> Any:
        from mlflow.exceptions import MlflowException

        client = self._store.client()
        location = (
            f"{self._store.artifacts.rstrip('/')}/{quote(name, safe='')}" if self._store.artifacts else None
        )
        try:
            client.create_experiment(name, artifact_location=location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                raise
        return client.get_experiment_by_name(name)

    def _end(self, run_id: str, status: str, because: BaseException | None = None) -> None:
        try:
            client = self._store.client()
            with self._store.explained():
                client.set_terminated(run_id, status)
        except ResourceError as error:
            if because is None:
                raise
            because.add_note(f"and the run {run_id} could not be ended: {error}")


def _origin(tags: Mapping[str, str]) -> dict[str, str]:
    """What MLflow's pages show in their own columns."""
    commit = tags.get("commit")
    shown = {"mlflow.source.name": "mlcicd", "mlflow.source.type": "JOB"}
    return {**shown, "mlflow.source.git.commit": commit} if commit and commit != "none" else shown


def _tags(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value, _LONGEST["tag"]) for key, value in tags.items()}


def _text(value: Any, longest: int) -> str:
    """MLflow cuts long values silently; this says that it was cut."""
    text = str(value)
    if len(text) <= longest:
        return text
    note = f"… (cut; {len(text)} characters)"
    return text[: longest - len(note)] + note


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _PER_BATCH):
        yield items[start : start + _PER_BATCH]
