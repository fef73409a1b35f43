"""Files that land in object storage: any address that fsspec knows (s3://, gs://, abfss://, file://, memory://)."""

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from resources.protocols import LandedFile, ResourceError

# What object stores say of an object's content, by fsspec's implementations.
_CONTENT = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
_BLOCK = 1 << 20


def is_remote(template: str) -> bool:
    """Whether a template is an address, not a path below the home."""
    return "://" in template


def find(template: str, partition: str | None) -> LandedFile:
    """Locate an object; the fingerprint is the store's own where it has one, else that of the bytes."""
    uri = template.replace("{partition}", partition or "")
    system, path = _system(uri)
    try:
        said = system.info(path)
        content = next((said[name] for name in _CONTENT if said.get(name)), None)
        fingerprint = _hash(system, path) if content is None else _digest(f"{content} {said.get('size')}")
    except FileNotFoundError:
        raise ResourceError(
            f"{uri} has not landed; let the upstream system deliver it, or correct source.files"
        ) from None
    except Exception as error:
        raise _unreachable(uri, error) from error
    return LandedFile(Path(PurePosixPath(path).name), fingerprint, uri)


def partitions(template: str) -> list[str]:
    """The partition keys whose objects are there, sorted."""
    system, path = _system(template)
    pattern = re.compile(re.escape(path).replace(r"\{partition\}", "(?P<key>[^/.][^/]*)", 1))
    try:
        found = [pattern.fullmatch(one) for one in system.glob(path.replace("{partition}", "*"))]
    except Exception as error:
        raise _unreachable(template, error) from error
    return sorted(match["key"] for match in found if match)


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
