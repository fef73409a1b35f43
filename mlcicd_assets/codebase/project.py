"""What the checks look at: the project's folder, its files, and what it declares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcicd_assets.codebase.areas import by_area
from mlcicd_assets.ml.thresholds import parse_duration

if TYPE_CHECKING:
    from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
    from resources.protocols import Lake, Landing


@dataclass(frozen=True)
class Project:
    """One state of the code; `files` are those that the declaration is about."""

    root: Path
    files: Mapping[str, str]
    declared: "CodeBaseDeclaration"
    defs: Path  # the folder of the declarations
    lake: "Lake | None" = None  # for records to compute features of; without them they are made up
    landing: "Landing | None" = None
    environment: Mapping[str, str] = field(default_factory=dict)
    # check -> what its last run remembered, to spare work
    memory: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long a single check may take."""
        return parse_duration(self.declared.timeout).total_seconds()

    def of(self, *areas: str) -> list[str]:
        """The files of these areas, sorted."""
        found = by_area(self.files)
        return sorted(name for area in areas for name in found.get(area, []))

    def named(self, path: str | Path) -> str:
        """A path as findings name it: from the project's folder."""
        found = Path(path)
        absolute = found if found.is_absolute() else self.root / found
        try:
            return absolute.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return str(path)
