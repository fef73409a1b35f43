"""What a check of the code found, as rows of a table: file, line, rule, message."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT = 50  # findings that are shown and kept of one check; all are counted
_LONGEST = 500


@dataclass(frozen=True)
class Finding:
    """One thing to mend (`blocks`) or to look at."""

    file: str
    line: int | None
    rule: str
    message: str
    blocks: bool = True

    @property
    def place(self) -> str:
        """`a.py:3`, or what there is of it."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def told(self) -> str:
        """Place, rule and message on one line."""
        return ": ".join(part for part in (self.place, self.rule, self.message) if part)


@dataclass(frozen=True)
class CheckResult:
    """What one check said; `rows` shows what was looked at, where that is worth a table."""

    check: str
    findings: tuple[Finding, ...]
    looked_at: str  # "212 files"
    rows: tuple[Mapping[str, str | int | float], ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict)  # what spares the next run work; JSON values

    @property
    def passed(self) -> bool:
        """Whether nothing blocks."""
        return not any(finding.blocks for finding in self.findings)

    @property
    def blocking(self) -> list[Finding]:
        """What must be mended."""
        return [finding for finding in self.findings if finding.blocks]

    @property
    def shown(self) -> list[Finding]:
        """As many as are shown: what blocks first."""
        return sorted(self.findings, key=lambda finding: not finding.blocks)[:KEPT]

    def summary(self) -> str:
        """One sentence: how many, and the first."""
        if not self.findings:
            return f"{self.looked_at}: nothing found"
        blocking, warned = len(self.blocking), len(self.findings) - len(self.blocking)
        counts = [f"{blocking} to mend"] * bool(blocking) + [f"{warned} to look at"] * bool(warned)
        within = f" in {self.looked_at}" if self.looked_at else ""
        return f"{', '.join(counts)}{within}; {self.shown[0].told}"

    def text(self) -> str:
        """As JSON, bounded, to be kept with the record."""
        return json.dumps(
            {
                "looked_at": self.looked_at,
                "count": len(self.findings),
                "findings": [_short(asdict(finding)) for finding in self.shown],
                "rows": [_short(dict(row)) for row in self.rows[:KEPT]],
                "memory": dict(self.memory),
            },
            ensure_ascii=False,
        )


def kept(check: str, text: str) -> tuple[CheckResult, int]:
    """Undo `text`: what was kept of a result, and how many findings there were; nothing of an empty text."""
    found = json.loads(text) if text else {}
    findings = tuple(Finding(**one) for one in found.get("findings", []))
    rows = tuple(found.get("rows", []))
    looked_at, memory = found.get("looked_at", ""), found.get("memory", {})
    return CheckResult(check, findings, looked_at, rows, memory), int(found.get("count", 0))


def failure(check: str, rule: str, message: str, looked_at: str = "") -> CheckResult:
    """The result of a check that could not look at all: it blocks."""
    return CheckResult(check, (Finding("", None, rule, message),), looked_at)


def _short(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in row.items()}


def plural(count: int, one: str, many: str = "") -> str:
    """`1 file`, `2 files`; `many` where it is not made by an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
