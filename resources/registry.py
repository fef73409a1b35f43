"""Versions and aliases in MLflow's model registry."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.mlflow_artifacts import fetch_artifact, refuse_outside
from resources.mlflow_store import MlflowStore
from resources.protocols import ModelVersion, ResourceError

PACKAGE = "package"
VERDICT = "verdict.json"
_DIGEST = "digest"
# The store keeps 5,000 characters of a description; the tags need some of them.
_LONGEST = 2_000


class MlflowRegistry:
    """A version's source is the `package` folder of its run; the tag `digest` names the content."""

    def __init__(self, store: MlflowStore) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"MlflowRegistry({self._store.place})"

    def register(
        self, model: str, digest: str, run_id: str, tags: Mapping[str, str], *, about: str = ""
    ) -> ModelVersion:
        """Make a version of the run's package; the same digest again returns the version that exists."""
        existing = self._by_digest(model, digest)
        if existing:
            return existing
        client = self._store.client()
        with self._store.explained():
            if not client.list_artifacts(run_id, PACKAGE):
                raise ResourceError(
                    f"the run {run_id} holds no {PACKAGE}: store it before registering {model}"
                )
            self._make_model(model)
            made = client.create_model_version(
                model,
                source=_source(client.get_run(run_id)),
                run_id=run_id,
                tags={**{key: str(value) for key, value in tags.items()}, _DIGEST: digest},
                description=_description(digest, tags, about),
                await_creation_for=0,
            )
        first = self._by_digest(model, digest)
        if first is None:
            raise ResourceError(
                f"{model} {digest[:12]} was registered but is not found at {self._store.place}"
            )
        if first.version != int(made.version):
            # Another process registered the same content meanwhile: the lower number stays.
            with self._store.explained():
                client.delete_model_version(model, made.version)
        return first

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions, newest first; empty for an unknown model."""
        client = self._store.client()
        found: list[Any] = []
        token = None
        with self._store.explained():
            aliases = self._aliases(model)
            while True:
                page = client.search_model_versions(f"name = '{_quoted(model)}'", page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        listed = [_version(version, aliases) for version in found]
        return sorted(listed, key=lambda version: version.version, reverse=True)

    def get(self, model: str, which: int | str) -> ModelVersion | None:
        """By version number or by alias; None when there is no such version."""
        with self._store.explained():
            aliases = self._aliases(model)
            if isinstance(which, int) or which.isdigit():
                number = int(which)
            else:
                number = next((version for version, names in aliases.items() if which in names), 0)
            found = self._found(model, number) if number else None
        return _version(found, aliases) if found else None

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point an alias to a version, or remove it (None). Idempotent."""
        client = self._store.client()
        with self._store.explained():
            if version is not None:
                client.set_registered_model_alias(model, alias, str(version))
            elif any(alias in names for names in self._aliases(model).values()):
                client.delete_registered_model_alias(model, alias)

    def tag(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        client = self._store.client()
        with self._store.explained():
            for key, value in tags.items():
                client.set_model_version_tag(model, str(version), key, str(value))

    def fetch(self, model: str, version: int, into: Path) -> Path:
        """Download the version's `package` folder and its `verdict.json` into `into`; returns `into`.

        Raises ResourceError when one is missing, or when the source is not the run's own package within
        the artifact store.
        """
        run_id = self._proven_run(model, version)
        for path in (PACKAGE, VERDICT):
            fetch_artifact(self._store, run_id, path, into)
        return into

    def delete_version(self, model: str, version: int) -> None:
        """Remove a version, whose number is never given again; ResourceError while it has an alias."""
        found = self.get(model, version)
        if found is None:
            return
        if found.aliases:
            raise ResourceError(f"{model} version {version} is not deleted: it is {', '.join(found.aliases)}")
        with self._store.explained():
            self._store.client().delete_model_version(model, str(version))

    def _proven_run(self, model: str, version: int) -> str:
        client = self._store.client()
        with self._store.explained():
            found = self._found(model, version)
            run_id = found.run_id if found else None
            own = _source(client.get_run(run_id)) if run_id else None
        if found is None or run_id is None:
            raise ResourceError(f"{model} has no version {version} with a run at {self._store.place}")
        refuse_outside(self._store, str(found.source))
        if found.source != own:
            raise ResourceError(
                f"the source {found.source!r} of {model} version {version} is refused: "
                f"it is not the package of its run {run_id}"
            )
        return str(run_id)

    def _found(self, model: str, version: int) -> Any:
        return _or_none(lambda: self._store.client().get_model_version(model, str(version)))

    def _by_digest(self, model: str, digest: str) -> ModelVersion | None:
        same = [version for version in self.versions(model) if version.digest == digest]
        return same[-1] if same else None

    def _make_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._store.client().create_registered_model(
                model, description=f"Released by mlcicd. Its history: mlcicd audit {model}"
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _aliases(self, model: str) -> dict[int, tuple[str, ...]]:
        registered = _or_none(lambda: self._store.client().get_registered_model(model))
        aliases: dict[int, tuple[str, ...]] = {}
        for alias, version in sorted(registered.aliases.items()) if registered else ():
            aliases[int(version)] = (*aliases.get(int(version), ()), alias)
        return aliases


def _or_none(look_up: Callable[[], Any]) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return look_up()
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _source(run: Any) -> str:
    return f"{run.info.artifact_uri.rstrip('/')}/{PACKAGE}"


def _quoted(name: str) -> str:
    if "'" in name:
        raise ResourceError(f"a model's name has no quotes: {name!r}")
    return name


def _description(digest: str, tags: Mapping[str, str], about: str) -> str:
    lines = [f"- {key}: `{value}`" for key, value in tags.items() if len(str(value)) < 200]
    first = [about[:_LONGEST], ""] if about else []
    return "\n".join([*first, f"Package `{digest}`", "", *lines])


def _version(found: Any, aliases: Mapping[int, tuple[str, ...]]) -> ModelVersion:
    number = int(found.version)
    return ModelVersion(
        model=found.name,
        version=number,
        digest=found.tags.get(_DIGEST, ""),
        run_id=found.run_id or "",
        tags=dict(found.tags),
        aliases=aliases.get(number, ()),
        created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(),
    )
