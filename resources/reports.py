"""Pages for people, as files in the home."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from resources.protocols import Page, ResourceError
from resources.redaction import redact_page


class ReportFolder:
    """Implements `Reports` in a local folder; a page appears whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def save(self, name: str, page: str) -> str:
        """Write the page; raises ResourceError where the name or the folder does not allow it."""
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
                file.write(redact_page(page))
            os.chmod(file.name, 0o644)  # noqa: PTH101  a page for people, made private by tempfile
            Path(file.name).replace(path)
        except OSError as error:
            raise ResourceError(
                f"{path}: the report cannot be written ({error.strerror}); make {self.root} writable"
            ) from error
        return str(path)

    def pages(self, folder: str) -> list[Page]:
        """The pages below a folder, by name; empty where there is none."""
        root = self._path(folder)
        found = [path for path in root.rglob("*.html") if path.is_file()] if root.is_dir() else []
        return sorted(
            (
                Page(
                    str(path.relative_to(self.root)),
                    datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(),
                )
                for path in found
            ),
            key=lambda page: page.name,
        )

    def remove(self, name: str) -> None:
        """Delete a page; nothing happens when it is gone. Raises ResourceError."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(
                f"{path}: the report cannot be deleted ({error.strerror}); make {self.root} writable"
            ) from error

    def _path(self, name: str) -> Path:
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise ResourceError(f"{name!r} is no name for a report: it leaves {self.root}")
        return self.root / name
