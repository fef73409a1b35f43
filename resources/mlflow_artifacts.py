"""Bringing a run's files to this machine, trusting neither the store's answers nor its file tree.

MLflow has had one hole after another here (CVE-2023-1177, -2780, -6909, -6977, CVE-2024-27132 …): a source
with `..`, encoded dots, a backslash, a symbolic link, or one that leaves the artifact store.
"""

import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from resources.mlflow_store import MlflowStore
from resources.protocols import ResourceError

if TYPE_CHECKING:
    from mlflow import MlflowClient


def refuse_tricks(uri: str) -> None:
    """Raise ResourceError when a path or URI, however often encoded, is more than plain names and slashes."""
    decoded, previous = uri, ""
    while decoded != previous:
        decoded, previous = unquote(decoded), decoded
    path = urlsplit(decoded).path if "://" in decoded else decoded
    if "\\" in decoded or any(ord(character) < 32 for character in decoded):
        raise ResourceError(
            f"the artifact path {uri!r} is refused: it has a backslash or a control character"
        )
    if any(part in {".", ".."} for part in path.split("/")):
        raise ResourceError(f"the artifact path {uri!r} is refused: it has '.' or '..' in it")


def refuse_outside(store: MlflowStore, uri: str) -> None:
    """Raise ResourceError unless the URI lies in the artifact store."""
    refuse_tricks(uri)
    if store.artifacts is None:
        if urlsplit(uri).scheme in {"", "file"}:
            raise ResourceError(
                f"the artifact {uri!r} is refused: it is a file of this machine, and {store.place} is not. "
                "If both share a disk, name its folder by MLCICD_MLFLOW_ARTIFACTS"
            )
    elif not uri.startswith(store.artifacts.rstrip("/") + "/"):
        raise ResourceError(f"the artifact {uri!r} is refused: it is outside the store {store.artifacts}")


def fetch_artifact(store: MlflowStore, run_id: str, path: str, into: Path) -> Path:
    """Bring `path` of the run's artifacts to `into/<last part of path>`, whole or not at all.

    Raises ResourceError when it is missing or refused.
    """
    name = _plain_path(path).name
    client = store.client()
    with store.explained():
        root = client.get_run(run_id).info.artifact_uri
    refuse_outside(store, root)
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".fetch-") as temporary:
            if urlsplit(root).scheme == "file":
                fetched = _copy(_local(store, root) / path, Path(temporary) / name, path)
            else:
                with store.explained():
                    fetched = _download(client, run_id, path, Path(temporary))
            return _place(fetched, into / name)
    except OSError as error:
        raise ResourceError(f"the artifact {path!r} cannot be brought to {into}: {error}") from error


def delete_artifacts(store: MlflowStore, root: str) -> None:
    """Delete everything below a run's artifact root; nothing happens when it is gone.

    Raises ResourceError when the root leaves the store, or something cannot be deleted.
    """
    refuse_outside(store, root)
    if urlsplit(root).scheme != "file":
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with store.explained():
            repository: Any = get_artifact_repository(root)
            repository.delete_artifacts()
        return
    folder = _local(store, root)
    _refuse_link(folder)
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ResourceError(f"the artifacts in {folder} cannot be deleted: {error}") from error


def _plain_path(path: str) -> PurePosixPath:
    refuse_tricks(path)
    plain = PurePosixPath(path)
    if plain.is_absolute() or not plain.parts or "%" in path:
        raise ResourceError(f"the artifact path {path!r} is refused: it must be relative and plain")
    return plain


def _local(store: MlflowStore, root: str) -> Path:
    """The folder behind a `file:` URI, proven to be in the store without passing a symbolic link."""
    folder = Path(unquote(urlsplit(root).path))
    base = Path(unquote(urlsplit(store.artifacts or "").path))
    if folder.exists() and not folder.resolve().is_relative_to(base.resolve()):
        raise ResourceError(f"the artifact folder {folder} is refused: it leads out of {base}")
    return folder


def _copy(source: Path, target: Path, path: str) -> Path:
    for part in [source, *source.parents][: len(PurePosixPath(path).parts)]:
        _refuse_link(part)
    if source.is_dir():
        target.mkdir()
        with os.scandir(source) as found:
            for entry in found:
                _copy(Path(entry.path), target / entry.name, entry.name)
    elif source.is_file():
        shutil.copyfile(source, target, follow_symlinks=False)
    else:
        raise ResourceError(f"there is no artifact {path!r} in the run ({source})")
    return target


def _download(client: "MlflowClient", run_id: str, path: str, into: Path) -> Path:
    for listed in _listed(client, run_id, path):
        if not _plain_path(listed).is_relative_to(path):
            raise ResourceError(f"the store lists {listed!r} under {path!r}: refused")
    fetched = Path(client.download_artifacts(run_id, path, str(into)))
    if not fetched.resolve().is_relative_to(into.resolve()):
        raise ResourceError(f"the artifact {path!r} was put outside {into}: refused")
    for file in [fetched, *fetched.rglob("*")]:
        _refuse_link(file)
    return fetched


def _listed(client: "MlflowClient", run_id: str, path: str) -> list[str]:
    names = []
    for info in client.list_artifacts(run_id, path):
        names.append(info.path)
        if info.is_dir:
            names += _listed(client, run_id, _plain_path(info.path).as_posix())
    return names


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise ResourceError(f"the artifact {path} is refused: it is a symbolic link")


def _place(fetched: Path, target: Path) -> Path:
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.exists():
        shutil.rmtree(target)
    fetched.rename(target)
    return target
