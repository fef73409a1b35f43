"""`Inbox` in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from resources.inbox import Delivery, Lane


class MemoryInbox:
    """Keeps deliveries as long as the process lives."""

    def __init__(self) -> None:
        self.kept: list[Delivery] = []
        self.acted_on: set[int] = set()
        self._seen: set[str] = set()

    def put(self, lane: Lane, sender: str, keys: Sequence[str], message: Mapping[str, Any]) -> bool:
        known = {f"{sender} {key}" for key in keys}
        if known & self._seen:
            return False
        self._seen |= known
        at = "2026-01-31T12:00:00+00:00"
        self.kept.append(Delivery(len(self.kept) + 1, lane, at, sender, keys[0], dict(message)))
        return True

    def waiting(self, lane: Lane) -> list[Delivery]:
        return [one for one in self.kept if one.lane == lane and one.id not in self.acted_on]

    def done(self, deliveries: Sequence[Delivery]) -> None:
        self.acted_on |= {one.id for one in deliveries}
