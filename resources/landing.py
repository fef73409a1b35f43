"""The folder where upstream systems let files land: csv, parquet and json lines."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from resources.protocols import LandedFile, ResourceError

_BLOCK = 1 << 20
_REMEDY = "let the upstream system deliver it again"


@dataclass(frozen=True)
class LandingFolder:
    """Implements `Landing`: templates are relative to `root`, the home."""

    root: Path

    def find(self, template: str, partition: str | None) -> LandedFile:
        """Locate and fingerprint a file; raises ResourceError when it is missing or unreadable."""
        path = self.root / template.replace("{partition}", partition or "")
        try:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
        except FileNotFoundError:
            raise ResourceError(f"{path} has not landed; {_REMEDY}, or correct source.files") from None
        except OSError as error:
            raise ResourceError(f"{path} cannot be read ({error.strerror}); make it readable") from error
        return LandedFile(path, digest.hexdigest())

    def partitions(self, template: str) -> list[str]:
        """The partition keys whose files have landed, sorted."""
        before, _, after = Path(template).name.partition("{partition}")
        pattern = re.compile(f"^{re.escape(before)}(.+){re.escape(after)}$")
        folder = (self.root / template).parent
        if not folder.is_dir():
            return []
        found = (pattern.match(path.name) for path in folder.iterdir() if path.is_file())
        return sorted(match[1] for match in found if match)

    def read(self, landed: LandedFile) -> pl.DataFrame:
        """Read by suffix; raises ResourceError naming the file, what is wrong and the remedy."""
        path = landed.path
        if path.stat().st_size == 0:
            raise ResourceError(f"{path} is empty; {_REMEDY}")
        try:
            frame = _READERS[path.suffix](path)
        except KeyError:
            raise ResourceError(f"{path}: files end in {', '.join(_READERS)}") from None
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ResourceError(f"{path} is cut short or damaged ({reason}); {_REMEDY}") from error
        if frame.is_empty():
            raise ResourceError(f"{path} holds no records; {_REMEDY}")
        return frame


def _csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, try_parse_dates=True, infer_schema_length=None)


def _json_lines(path: Path) -> pl.DataFrame:
    return pl.read_ndjson(path, infer_schema_length=None)


_READERS = {".parquet": pl.read_parquet, ".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}
