"""Lines of a ledger without a ledger, for whoever reads a history."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """As `resources.protocols.Entry`, with everything but the action optional."""

    action: str
    version: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    seq: int = 0
    at: str = "2026-01-31T12:00:00+00:00"
    actor: str = "run 1"
    model: str = "m"
    digest: str | None = None
    reason: str = ""


def moved(action: str, before: int | None, to: int, **changes: Any) -> Line:
    """The champion's pointer of the model `m`, moved."""
    pointer = {"name": "champion/m", "from": before and str(before), "to": str(to)}
    return Line(action, to, {"pointer": pointer}, **changes)


def put(alias: str, to: int | None) -> Line:
    """An alias as the mirror put it."""
    return Line("alias_moved", to, {"alias": alias, "to": to})
