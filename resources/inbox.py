"""What webhooks delivered and nobody has acted on yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Lane = Literal["git", "data"]


@dataclass(frozen=True)
class Delivery:
    """One message, verified and shortened to what a trigger needs."""

    id: int
    lane: Lane
    at: str  # ISO 8601, UTC: when it was received
    sender: str  # "github", "gitlab", "standard-webhooks"
    key: str  # the sender's own id of the delivery
    message: Mapping[str, Any]  # {"ref": "refs/heads/main", "commit": …} or {"dataset": …, "partition": …}


class Inbox(Protocol):
    """Deliveries, kept on disk before they are acknowledged."""

    def put(self, lane: Lane, sender: str, keys: Sequence[str], message: Mapping[str, Any]) -> bool:
        """Keep a delivery; False when one of its keys was seen within the replay window.

        `keys`: the sender's id first, then what else tells a replay. Raises ResourceError where it could not
        be kept, and then nothing of it is.
        """
        ...

    def waiting(self, lane: Lane) -> list[Delivery]:
        """Those that nobody has acted on, oldest first."""
        ...

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """They were acted on."""
        ...
