"""What needs a person: one alert per cause until it changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True)
class Alert:
    """One cause that somebody must know of."""

    cause: str  # stable over repetitions: "gates/fraud_detector", "budget/fraud_detector/2026-11"
    state: str  # what makes it another alert when it changes: the names of the failed gates, not their values
    severity: Severity
    title: str  # one sentence: what happened
    subject: str  # "model:fraud_detector", "dataset:payments", "sensor:git_trigger"
    owner: str  # whom it concerns first: "team:risk"
    evidence: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    command: str = ""  # what to run to look at it or to mend it


@dataclass(frozen=True)
class StandingAlert:
    """An alert as it stands, with what was done about it."""

    alert: Alert
    first: str  # ISO 8601, UTC: since when this state stands
    last: str  # when it was last seen
    count: int  # how often it was seen in this state
    told: tuple[str, ...] = ()  # whom it was sent to, in order: owner, then on-call
    told_at: str = ""  # when the last of them was told
    acknowledged_by: str = ""  # a person who takes care: no escalation
    resolved_at: str = ""  # empty while it stands
    resolution: str = ""
    untold: str = ""  # why a message of it has not gone out yet; it is tried again


@dataclass(frozen=True)
class Telling:
    """What one round of sending came to."""

    sent: int = 0  # messages that went out whole
    waiting: int = 0  # messages that are tried again later
    failures: tuple[str, ...] = ()  # a sentence for each channel that failed


class Alerts(Protocol):
    """Which causes stand, and telling people of them."""

    def raise_alert(self, alert: Alert) -> bool:
        """Record that a cause stands; False when there is nothing to tell, as it stood already.

        It never waits for a channel: `tell` sends what is to be told, in the sensor `alerts` or in
        `mlcicd alerts check`. Raises ResourceError where it cannot be recorded.
        """
        ...

    def resolve(self, cause: str, *, reason: str) -> bool:
        """Record that a cause stands no more; False when it did not."""
        ...

    def acknowledge(self, cause: str, *, by: str) -> bool:
        """Record that a person takes care, so that nobody else is woken; False when it does not stand."""
        ...

    def tell(self) -> Telling:
        """Send what is to be told, escalate what nobody acknowledged; what a channel refuses is kept."""
        ...

    def try_channels(self, alert: Alert) -> Mapping[str, str]:
        """Send an alert by every declared channel, recording nothing: channel -> why it failed, or ""."""
        ...

    def cursor(self, name: str) -> str | None:
        """How far a watch has read what happened; None before it first has."""
        ...

    def advance(self, name: str, value: str, *, expected: str | None) -> bool:
        """Keep how far a watch has read; False where another one has moved it on from `expected`."""
        ...

    def standing(self) -> list[StandingAlert]:
        """Those that are not resolved, the most severe and oldest first."""
        ...

    def history(self, limit: int = 100) -> list[StandingAlert]:
        """The newest, resolved ones too."""
        ...
