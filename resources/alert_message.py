"""What a person reads: what happened, the evidence, since when, and the command to run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from resources.alert import StandingAlert
from resources.alert_policy import Kind
from resources.protocols import ResourceError
from resources.redaction import redact

_HEADS: dict[Kind, str] = {
    "raised": "{severity}: {title}",
    "changed": "{severity}: {title}",
    "escalated": "ESCALATED, {severity}: {title}",
    "flapping": "flapping, {severity}: {title}",
    "resolved": "resolved: {title}",
    "settled": "{severity}, no longer flapping: {title}",
}
_NOTES: dict[Kind, str] = {
    "changed": "it stood otherwise before",
    "escalated": "nobody has acknowledged it",
    "flapping": "it comes and goes: nothing more is told until it is quiet for the cool-down",
}
_LONGEST = 1500  # characters of one value of the evidence


class ChannelError(ResourceError):
    """A channel did not take a message; says why, without its address's secrets."""


@dataclass(frozen=True)
class Message:
    """One alert to be told to somebody."""

    kind: Kind
    audience: str  # "owner" or "on-call"
    standing: StandingAlert

    @property
    def head(self) -> str:
        """One line."""
        alert = self.standing.alert
        kind: Kind = "resolved" if self.kind == "settled" and self.standing.resolved_at else self.kind
        text = _HEADS[kind].format(severity=alert.severity.upper(), title=alert.title)
        return redact(" ".join(text.split()))

    def lines(self) -> list[str]:
        """Everything else, one fact a line."""
        alert, standing = self.standing.alert, self.standing
        facts = [
            f"about {alert.subject}, owner {alert.owner or 'nobody'}",
            f"since {standing.first[:19]} UTC"
            + (f", seen {standing.count} times" if standing.count > 1 else ""),
            *(f"{name}: {_short(value)}" for name, value in alert.evidence.items() if value is not None),
            *([note] if (note := _NOTES.get(self.kind)) else []),
        ]
        if standing.resolved_at:
            return [
                redact(line)
                for line in [*facts, f"resolved {standing.resolved_at[:19]} UTC: {standing.resolution}"]
            ]
        if alert.command:
            facts.append(f"run: {alert.command}")
        if alert.severity != "info":  # what asks nobody to act, as a test of the channels, does not
            facts.append(f"take care of it: mlcicd alerts ack {alert.cause} --by NAME")
        return [redact(line) for line in facts]

    def record(self) -> Mapping[str, Any]:
        """For programs."""
        standing = asdict(self.standing)
        alert = standing.pop("alert")
        return {"kind": self.kind, "audience": self.audience, "text": self.head, **alert, **standing}


class Channel(Protocol):
    """A way to people."""

    def send(self, message: Message) -> None:
        """Hand the message over, or raise ChannelError within some seconds."""
        ...


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
