"""Tracking in plain folders and a registry in memory: what MLflow does for the pipeline, without MLflow."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from resources.protocols import ModelVersion, ResourceError, Run, RunAge


@dataclass
class RecordedRun:
    """What a test may look at."""

    experiment: str
    name: str
    status: str = "RUNNING"
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    parent: str | None = None
    started: str = "2026-01-31T12:00:00+00:00"


class FolderTracking:
    """`runs` by id; artifacts are files under `root/<run id>`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: dict[str, RecordedRun] = {}

    @contextmanager
    def run(
        self, experiment: str, name: str, tags: Mapping[str, str], *, parent: str | None = None
    ) -> Iterator[Run]:
        run = Run(uuid4().hex, "")
        run = replace(run, url=(self.root / run.id).as_uri())
        recorded = self.runs[run.id] = RecordedRun(experiment, name, tags=dict(tags), parent=parent)
        (self.root / run.id).mkdir(parents=True)
        try:
            yield run
        except BaseException:
            recorded.status = "FAILED"
            raise
        recorded.status = "FINISHED"

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        run = self._recorded(run_id)
        run.params |= {key: str(value) for key, value in (params or {}).items()}
        run.metrics |= {key: float(value) for key, value in (metrics or {}).items()}
        run.tags |= {key: str(value) for key, value in (tags or {}).items()}

    def store(self, run_id: str, source: Path, into: str) -> None:
        self._recorded(run_id)
        if not source.exists():
            raise ResourceError(f"there is nothing to store at {source}")
        if any(path.is_symlink() for path in [source, *source.rglob("*")]):
            raise ResourceError(f"{source} is not stored: it holds a symbolic link")
        target = self.root / run_id / into
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / source.name)

    def has(self, run_id: str, path: str) -> bool:
        self._recorded(run_id)
        return (self.root / run_id / path).exists()

    def fetch(self, run_id: str, path: str, into: Path) -> Path:
        self._recorded(run_id)
        parts = Path(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\\" in path or "%" in path:
            raise ResourceError(f"the artifact path {path!r} is refused")
        source, target = self.root / run_id / path, into / parts[-1]
        if not source.exists():
            raise ResourceError(f"there is no artifact {path!r} in the run {run_id}")
        into.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copyfile(source, target)
            return target
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(source, target))

    def url(self, run_id: str) -> str:
        self._recorded(run_id)
        return (self.root / run_id).as_uri()

    def list_runs(self, experiment: str) -> list[RunAge]:
        found = [(run.started, run_id) for run_id, run in self.runs.items() if run.experiment == experiment]
        return [RunAge(run_id, started, self.runs[run_id].parent) for started, run_id in sorted(found)]

    def delete(self, run_id: str) -> None:
        shutil.rmtree(self.root / run_id, ignore_errors=True)
        self.runs.pop(run_id, None)

    def _recorded(self, run_id: str) -> RecordedRun:
        if run_id not in self.runs:
            raise ResourceError(f"there is no run {run_id}")
        return self.runs[run_id]


class MemoryRegistry:
    """Versions in memory, packages in the runs of a `FolderTracking`."""

    def __init__(self, tracking: FolderTracking) -> None:
        self.tracking = tracking
        self._versions: dict[str, list[ModelVersion]] = {}
        self.descriptions: dict[tuple[str, int], str] = {}
        self._aliases: dict[tuple[str, str], int] = {}
        self._deleted: set[tuple[str, int]] = set()
        self._lock = Lock()

    def register(
        self, model: str, digest: str, run_id: str, tags: Mapping[str, str], *, about: str = ""
    ) -> ModelVersion:
        with self._lock:
            for existing in self.versions(model):
                if existing.digest == digest:
                    return existing
            made = self._make(model, digest, run_id, tags)
            self.descriptions[model, made.version] = about
            return made

    def _make(self, model: str, digest: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        if not (self.tracking.root / run_id / "package").is_dir():
            raise ResourceError(f"the run {run_id} holds no package: store it before registering {model}")
        number = len(self._versions.setdefault(model, [])) + 1
        kept = {**{key: str(value) for key, value in tags.items()}, "digest": digest}
        made = ModelVersion(model, number, digest, run_id, kept, created="2026-01-31T12:00:00+00:00")
        self._versions[model].append(made)
        return made

    def versions(self, model: str) -> list[ModelVersion]:
        kept = [one for one in self._versions.get(model, []) if (model, one.version) not in self._deleted]
        return [self._with_aliases(version) for version in reversed(kept)]

    def get(self, model: str, which: int | str) -> ModelVersion | None:
        if isinstance(which, int) or which.isdigit():
            number = int(which)
        else:
            number = self._aliases.get((model, which), 0)
        return next((version for version in self.versions(model) if version.version == number), None)

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        if version is None:
            self._aliases.pop((model, alias), None)
        else:
            self._existing(model, version)
            self._aliases[model, alias] = version

    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        found = self._existing(model, version)
        kept = {**found.tags, **{key: str(value) for key, value in tags.items()}}
        self._versions[model][version - 1] = replace(self._versions[model][version - 1], tags=kept)

    def fetch(self, model: str, version: int, into: Path) -> Path:
        found = self._existing(model, version)
        for path in ("package", "verdict.json"):
            self.tracking.fetch(found.run_id, path, into)
        return into

    def delete_version(self, model: str, version: int) -> None:
        found = self.get(model, version)
        if found is None:
            return
        if found.aliases:
            raise ResourceError(f"{model} version {version} is not deleted: it is {', '.join(found.aliases)}")
        self._deleted.add((model, version))

    def _existing(self, model: str, version: int) -> ModelVersion:
        found = self.get(model, version)
        if found is None:
            raise ResourceError(f"{model} has no version {version}")
        return found

    def _with_aliases(self, version: ModelVersion) -> ModelVersion:
        names = [
            alias
            for (model, alias), number in self._aliases.items()
            if (model, number) == (version.model, version.version)
        ]
        return replace(version, aliases=tuple(sorted(names)))
