"""A `Ledger` in memory, for tests that move its pointers some thousand times."""

from collections.abc import Mapping
from typing import Any

from resources.protocols import Conflict, Entry, ResourceError


class MemoryLedger:
    """Keeps lines and pointers as `SqlLedger` does, without the chain of hashes."""

    def __init__(self) -> None:
        self.lines: list[Entry] = []
        self.pointers: dict[str, str | None] = {}

    def append(
        self,
        action: str,
        model: str,
        *,
        actor: str,
        reason: str = "",
        version: int | None = None,
        digest: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        seq = len(self.lines) + 1
        at = f"2026-01-31T12:00:00.{seq:06}+00:00"
        line = Entry(seq, at, actor, action, model, version, digest, reason, dict(details or {}), "", "")
        self.lines.append(line)
        return line

    def pointer(self, name: str) -> str | None:
        return self.pointers.get(name)

    def move(
        self,
        name: str,
        *,
        expected: str | None,
        new: str | None,
        action: str,
        model: str,
        actor: str,
        reason: str = "",
        version: int | None = None,
        digest: str | None = None,
        details: Mapping[str, Any] | None = None,
        holding: Mapping[str, str | None] | None = None,
    ) -> Entry:
        for pointer, wanted in {**(holding or {}), name: expected}.items():
            if self.pointers.get(pointer) != wanted:
                raise Conflict(f"{pointer} is not {wanted}")
        self.pointers[name] = new
        moved = {**(details or {}), "pointer": {"name": name, "from": expected, "to": new}}
        return self.append(
            action, model, actor=actor, reason=reason, version=version, digest=digest, details=moved
        )

    def entries(self, model: str | None = None, *, after: int = 0) -> list[Entry]:
        return [line for line in self.lines if model in (None, line.model) and line.seq > after]

    def verify(self) -> int:
        replayed: dict[str, str | None] = {}
        for line in self.lines:
            move = line.details.get("pointer")
            if move and replayed.get(move["name"]) != move["from"]:
                raise ResourceError(f"line {line.seq} contradicts the lines before it")
            if move:
                replayed[move["name"]] = move["to"]
        if replayed != self.pointers:
            raise ResourceError("a pointer does not stand where its last line moved it")
        return len(self.lines)
