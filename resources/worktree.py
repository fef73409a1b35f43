"""The files of the working tree: what git tracks, and what it would track, with their contents."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from resources.file_manifest import FileManifest
from resources.protocols import ResourceError

_SECONDS = 30
# Where there is no repository to say what is ignored.
_NO_SOURCE = {"__pycache__", "node_modules", "venv", "build", "dist"}


def tree_files(root: Path, manifest: FileManifest | None = None) -> dict[str, str]:
    """Path relative to `root` -> hex SHA-256 of the file, uncommitted and untracked ones included.

    A symbolic link counts by where it leads, not by what is there. With a `manifest`, files that did not
    change are not read again. Raises ResourceError where git will not read its repository.
    """
    read = manifest.fingerprint if manifest else file_digest
    found = {}
    for name in sorted(_names(root)):
        path = root / name
        if (digest := _digest(path, read)) is not None:
            found[name] = digest
    return found


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(path: Path, read: Callable[[Path], str]) -> str | None:
    try:
        if path.is_symlink():
            return hashlib.sha256(f"-> {path.readlink()}".encode()).hexdigest()
        return read(path) if path.is_file() else None  # deleted, or a repository of its own
    except FileNotFoundError:
        return None


def _names(root: Path) -> Iterator[str]:
    listed = _listed(root)
    if listed is None:
        yield from _walked(root)
    else:
        yield from listed


def _listed(root: Path) -> set[str] | None:
    """What git lists below `root`; None outside a repository, or without git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env=git_environment(),
        )
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as error:
        raise ResourceError(
            f"git ls-files in {root} did not answer in {_SECONDS} s: try it by hand"
        ) from error
    told = done.stderr.decode(errors="replace")
    if done.returncode:
        if "not a git repository" in told:
            return None
        raise ResourceError(f"git cannot list the files of {root}: {told.strip().splitlines()[-1:] or ''}")
    return {os.fsdecode(name) for name in done.stdout.split(b"\0") if name}


def _walked(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [one for one in folders if one not in _NO_SOURCE and not one.startswith(".")]
        for file in files:
            if not file.endswith((".pyc", ".pyo")):
                yield (Path(folder) / file).relative_to(root).as_posix()


def git_environment() -> Mapping[str, str]:
    """Messages in English, no prompt, no lock taken for a mere look; a hook's GIT_DIR is not meant for us."""
    inherited = {key: value for key, value in os.environ.items() if key not in {"GIT_DIR", "GIT_WORK_TREE"}}
    return {**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
