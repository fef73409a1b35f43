"""Files that land in object storage: any address that fsspec knows (s3://, gs://, abfss://, file://, memory://)."""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from resources.protocols import LandedFile, ResourceError

# What object stores say of an object's content, by fsspec's implementations.
_CONTENT = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Listed:
    """An object as a listing shows it."""

    fingerprint: str  # by what the store says of its content; empty where it says nothing
    signed: tuple[Any, ...]  # what differs between two states of it
    modified: float | None  # in seconds since 1970, where the store says it
    open: Callable[[], BinaryIO]
    content: Callable[[], str]  # the fingerprint by its bytes


def is_remote(template: str) -> bool:
    """Whether a template is an address, not a path below the home."""
    return "://" in template


def find(template: str, partition: str | None) -> LandedFile:
    """Locate an object; the fingerprint is the store's own where it has one, else that of the bytes."""
    uri = template.replace("{partition}", partition or "")
    system, path = _system(uri)
    try:
        fingerprint = _told(system.info(path)) or _hash(system, path)
    except FileNotFoundError:
        raise ResourceError(
            f"{uri} has not landed; let the upstream system deliver it, or correct source.files"
        ) from None
    except Exception as error:
        raise _unreachable(uri, error) from error
    return LandedFile(Path(PurePosixPath(path).name), fingerprint, uri)


def partitions(template: str) -> list[str]:
    """The partition keys whose objects are there, sorted."""
    return sorted(key for key, _ in listing(template) if key is not None)


def listing(template: str) -> list[tuple[str | None, Listed]]:
    """Every object that a template names, by partition key, from one listing; raises ResourceError."""
    system, path = _system(template)
    pattern = re.compile(re.escape(path).replace(r"\{partition\}", "(?P<key>[^/._][^/]*)", 1))
    try:
        system.invalidate_cache()  # a process that lives long would see what was there before
        found = system.glob(path.replace("{partition}", "*"), detail=True)
    except FileNotFoundError:
        return []
    except Exception as error:
        raise _unreachable(template, error) from error
    matched = [(pattern.fullmatch(name), name) for name in found]
    return [
        (match.groupdict().get("key"), _listed(system, name, found[name])) for match, name in matched if match
    ]


def _listed(system: Any, path: str, said: dict[str, Any]) -> Listed:
    changed = next((said[name] for name in _CHANGED if said.get(name) is not None), None)
    return Listed(
        fingerprint=_told(said),
        signed=(said.get("size"), str(changed), said.get("ino")),
        modified=changed.timestamp() if isinstance(changed, datetime) else _number(changed),
        open=lambda: system.open(path, "rb"),
        content=lambda: _hash(system, path),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _told(said: dict[str, Any]) -> str:
    """The fingerprint by what the store says of an object; empty where it says nothing of its content."""
    content = next((said[name] for name in _CONTENT if said.get(name)), None)
    return "" if content is None else _digest(f"{content} {said.get('size')}")


@contextmanager
def local_copy(landed: LandedFile) -> Iterator[Path]:
    """The object's bytes in a file that is gone afterwards."""
    uri = landed.uri or ""
    system, path = _system(uri)
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        copy = Path(scratch) / landed.path.name
        try:
            system.get_file(path, str(copy))
        except Exception as error:
            raise _unreachable(uri, error) from error
        yield copy


def _system(uri: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    try:
        system, path = url_to_fs(uri)
    except ImportError as error:
        raise ResourceError(f"{uri} cannot be read: {error}; install that package") from error
    except ValueError as error:
        raise ResourceError(f"{uri} cannot be read ({error}); correct source.files") from error
    return system, str(path)


def _unreachable(uri: str, error: Exception) -> ResourceError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ResourceError(
        f"{uri} cannot be read ({reason}); see that the address and its credentials are right"
    )


def _hash(system: Any, path: str) -> str:
    digest = hashlib.sha256()
    with system.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
