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
class Launch:
    """A run as it was decided: Dagster is asked for it until it is seen, and makes one of it for its key."""

    key: str  # Dagster's run key
    assets: tuple[str, ...]  # "payments/raw_data"; empty for a rollback
    partitions: tuple[str, str] | None = None  # first and last


@dataclass(frozen=True)
class KeptRequest:
    """A request and what became of it."""

    id: int
    request: Request
    at: str  # ISO 8601, UTC: when it was asked for
    state: RequestState
    changed_at: str  # ISO 8601, UTC
    run: str = ""  # the Dagster run that answers it; of several the newest
    answer: str = ""  # why it waits, was refused, merged into which, or how it ended
    launches: tuple[Launch, ...] = ()  # the runs that were decided for it, in order

    @property
    def key(self) -> str:
        """The key of its newest run; empty before the first."""
        return self.launches[-1].key if self.launches else ""


@dataclass(frozen=True)
class RequestChange:
    """A step of some requests: those move that are still in the expected state.

    `launch` is added to their launches. With `expected_key`, only those move whose newest launch has it.
    What is left empty stays as it is.
    """

    ids: tuple[int, ...]
    expected: RequestState
    new: RequestState
    answer: str = ""
    run: str = ""
    launch: Launch | None = None
    expected_key: str | None = None
    merged: tuple[int, ...] = ()  # those that wait and are merged into the first, if it moved


class Requests(Protocol):
    """A durable list of requests; nothing is lost by a kill and nothing is asked for twice."""

    def add(self, request: Request) -> bool:
        """Keep it; False when the same (scope, cause, fingerprint) was ever kept before."""
        ...

    def add_all(self, requests: Sequence[Request]) -> int:
        """Keep several in one transaction; returns how many were new."""
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

    def last_dispatched(self) -> Mapping[str, str]:
        """When a request of each scope was last dispatched (ISO 8601, UTC)."""
        ...

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
        """Make one change; returns which moved. As `RequestChange` has it."""
        ...

    def apply(self, changes: Sequence[RequestChange]) -> list[list[int]]:
        """Make all changes in one transaction, in order; returns which moved by each."""
        ...
