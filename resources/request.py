"""Why something should run: requests, and where they are kept until a run answers them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Cause = Literal["rollback", "hotfix", "manual", "performance", "drift", "code", "data", "schedule"]
RequestState = Literal["pending", "dispatched", "done", "failed", "merged", "refused"]


@dataclass(frozen=True)
class Request:
    """Somebody or something asks for a run."""

    scope: str  # "model:fraud_detector", "dataset:payments", "all"
    cause: Cause
    fingerprint: str  # of what is asked for, by content: the same again is the same request
    reason: str  # one sentence for people
    evidence: Mapping[str, Any] = field(default_factory=dict)  # JSON values: commits, partitions, windows
    tier: Literal["fast", "full"] = "full"
    by: str = ""  # the person or the trigger that asks


@dataclass(frozen=True)
class KeptRequest:
    """A request and what became of it."""

    id: int
    request: Request
    at: str  # ISO 8601, UTC: when it was asked for
    state: RequestState
    changed_at: str  # ISO 8601, UTC
    run: str = ""  # the Dagster run that answers it
    answer: str = ""  # why it waits, was refused, merged into which, or how it ended


class Requests(Protocol):
    """A durable list of requests; nothing is lost by a kill and nothing is asked for twice."""

    def add(self, request: Request) -> bool:
        """Keep it; False when the same (scope, cause, fingerprint) was ever kept before."""
        ...

    def pending(self) -> list[KeptRequest]:
        """Those that wait, oldest first."""
        ...

    def dispatched(self) -> list[KeptRequest]:
        """Those whose run has not been seen to end."""
        ...

    def history(self, limit: int = 100) -> list[KeptRequest]:
        """The newest of all states, newest first."""
        ...

    def change(
        self,
        ids: Sequence[int],
        *,
        expected: RequestState,
        new: RequestState,
        run: str = "",
        answer: str = "",
    ) -> list[int]:
        """Move those that are still in the expected state, in one transaction; returns which moved."""
        ...
