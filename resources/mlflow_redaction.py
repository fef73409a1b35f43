"""What MLflow keeps, without secrets: parameters, tags and text artifacts, by whomever they are logged."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resources.protocols import ResourceError
from resources.redaction import redact, redact_known, redact_page

_LARGEST = 64 * 2**20  # bytes of a text that is looked at whole
PACKAGE = "package"  # signed by its bytes: never changed, refused instead


def guard_mlflow() -> None:
    """Guard the two values and the two ways by which everything comes to MLflow; safe to call again."""
    from mlflow.entities import Param, RunTag
    from mlflow.tracking._tracking_service.client import TrackingServiceClient

    Client: Any = TrackingServiceClient

    if getattr(Client.log_artifact, "redacts", False):
        return
    kinds: list[Any] = [Param, RunTag]
    for kind in kinds:
        kind.__init__ = _redacted_value(kind.__init__)
    Client.log_artifact = _redacted_files(Client.log_artifact)
    Client.log_artifacts = _redacted_files(Client.log_artifacts)


def _redacted_value(make: Any) -> Any:
    def init(self: Any, key: str, value: Any) -> None:
        make(self, key, redact(value) if isinstance(value, str) else value)

    return init


def _redacted_files(send: Any) -> Any:
    def log(self: Any, run_id: str, local: str, artifact_path: str | None = None) -> Any:
        with without_secrets(Path(local), artifact_path or "") as clean:
            return send(self, run_id, str(clean), artifact_path)

    log.redacts = True  # type: ignore[attr-defined]
    return log


@contextmanager
def without_secrets(source: Path, into: str) -> Iterator[Path]:
    """The file or folder itself, or a copy whose texts are redacted, for as long as the block runs.

    Raises ResourceError where a package holds a secret: its bytes are what is signed.
    """
    if into.split("/")[0] == PACKAGE or source.name == PACKAGE:
        refuse_secrets(source)
        yield source
        return
    found = {path: clean for path, text in _texts(source) if (clean := redact_page(text)) != text}
    if not found:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        copy = Path(scratch) / source.name
        if source.is_dir():
            shutil.copytree(source, copy)
        for path, clean in found.items():
            target = copy / path.relative_to(source) if source.is_dir() else copy
            target.write_text(clean, encoding="utf-8")
        yield copy


def refuse_secrets(package: Path) -> None:
    """Raise ResourceError where a text of the package holds a secret of this machine."""
    for path, text in _texts(package):
        if redact_known(text) != text:
            raise ResourceError(
                f"{path.name} of the package holds a secret of this machine's environment: read it there "
                "when it is needed, and write it nowhere"
            )


def _texts(source: Path) -> Iterator[tuple[Path, str]]:
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    for path in files:
        if path.stat().st_size > _LARGEST:
            continue
        content = path.read_bytes()
        if b"\0" in content[:4096]:  # no text: a model, a picture, a table
            continue
        try:
            yield path, content.decode()
        except UnicodeDecodeError:
            continue
