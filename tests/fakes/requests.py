"""`Requests` in memory."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from resources.request import KeptRequest, Launch, Request, RequestChange, RequestState


class MemoryRequests:
    """Keeps what `SqlRequests` keeps, as long as the process lives."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime(2026, 1, 31, 12, tzinfo=UTC)) -> None:
        self.kept: dict[int, KeptRequest] = {}
        self._known: set[tuple[str, str, str]] = set()
        self._dispatched: dict[str, str] = {}
        self._clock = clock

    def add(self, request: Request) -> bool:
        identity = (request.scope, request.cause, request.fingerprint)
        if identity in self._known:
            return False
        evidence = json.loads(json.dumps(dict(request.evidence), allow_nan=False))
        self._known.add(identity)
        number, now = len(self.kept) + 1, self._now()
        self.kept[number] = KeptRequest(number, replace(request, evidence=evidence), now, "pending", now)
        return True

    def add_all(self, requests: Sequence[Request]) -> int:
        return sum(self.add(request) for request in requests)

    def pending(self) -> list[KeptRequest]:
        return [one for one in self.kept.values() if one.state == "pending"]

    def dispatched(self) -> list[KeptRequest]:
        return [one for one in self.kept.values() if one.state == "dispatched"]

    def history(self, limit: int = 100) -> list[KeptRequest]:
        return list(self.kept.values())[::-1][:limit]

    def last_dispatched(self) -> Mapping[str, str]:
        return dict(self._dispatched)

    def change(
        self,
        ids: Sequence[int],
        *,
        expected: RequestState,
        new: RequestState,
        run: str = "",
        answer: str = "",
        launch: Launch | None = None,
        expected_key: str | None = None,
    ) -> list[int]:
        moved = [
            one
            for one in sorted(set(ids))
            if one in self.kept
            and self.kept[one].state == expected
            and expected_key in (None, self.kept[one].key)
        ]
        for one in moved:
            kept = self.kept[one]
            values: dict[str, Any] = {"state": new, "changed_at": self._now()}
            values |= {"run": run or kept.run, "answer": answer or kept.answer}
            if launch is not None:
                values["launches"] = (*kept.launches, launch)
            if new == "dispatched" and expected != "dispatched":
                self._dispatched[kept.request.scope] = self._now()
            self.kept[one] = replace(kept, **values)
        return moved

    def apply(self, changes: Sequence[RequestChange]) -> list[list[int]]:
        return [self._changed(change) for change in changes]

    def _changed(self, change: RequestChange) -> list[int]:
        moved = self.change(
            change.ids,
            expected=change.expected,
            new=change.new,
            run=change.run,
            answer=change.answer,
            launch=change.launch,
            expected_key=change.expected_key,
        )
        if moved and change.merged:
            self.change(
                change.merged, expected="pending", new="merged", answer=f"into request {change.ids[0]}"
            )
        return moved

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat()
