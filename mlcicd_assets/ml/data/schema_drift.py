"""What changed between two schemas, as a plain diff."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SchemaDiff:
    """What changed between two schemas (column: type)."""

    added: Mapping[str, str]
    removed: Mapping[str, str]
    retyped: Mapping[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)

    def lines(self) -> list[str]:
        """As a diff reads: `+ column: type`, `- column: type`, `~ column: type → type`."""
        return [
            *(f"+ {name}: {dtype}" for name, dtype in self.added.items()),
            *(f"- {name}: {dtype}" for name, dtype in self.removed.items()),
            *(f"~ {name}: {old} → {new}" for name, (old, new) in self.retyped.items()),
        ]


def schema_diff(before: Mapping[str, str], after: Mapping[str, str]) -> SchemaDiff:
    """Compare two schemas, whatever the columns' order."""
    return SchemaDiff(
        {name: dtype for name, dtype in after.items() if name not in before},
        {name: dtype for name, dtype in before.items() if name not in after},
        {name: (before[name], dtype) for name, dtype in after.items() if before.get(name, dtype) != dtype},
    )
