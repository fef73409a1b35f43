"""`Alerts` in memory, by the same policy; what would be sent is in `sent`."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from resources.alert_message import Message
from resources.alert_policy import (
    ON_CALL,
    OWNER,
    AlertPolicy,
    Decision,
    Kind,
    Memory,
    must_escalate,
    raised,
    rank,
    resolved,
    settled,
)
from resources.protocols import Alert, StandingAlert, Telling


@dataclass
class MemoryAlerts:
    """The clock is `now`, moved by the test."""

    now: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)
    policy: AlertPolicy = field(default_factory=AlertPolicy)
    sent: list[Message] = field(default_factory=list)
    due: list[Message] = field(default_factory=list)
    rows: list[StandingAlert] = field(default_factory=list)
    memories: dict[str, Memory] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)

    def raise_alert(self, alert: Alert) -> bool:
        last = self._latest(alert.cause)
        decision = raised(last, self._memory(alert.cause), alert, self.now, self.policy)
        self._keep(decision)
        return decision.tell is not None

    def resolve(self, cause: str, *, reason: str) -> bool:
        last = self._latest(cause)
        if last is None or last.resolved_at:
            return False
        self._keep(resolved(last, self._memory(cause), reason, self.now, self.policy))
        return True

    def acknowledge(self, cause: str, *, by: str) -> bool:
        last = self._latest(cause)
        if last is None or last.resolved_at:
            return False
        self._put(replace(last, acknowledged_by=by))
        return True

    def tell(self) -> Telling:
        for last in [one for one in map(self._latest, list(self.memories)) if one is not None]:
            decision = settled(last, self._memory(last.alert.cause), self.now, self.policy)
            if decision is not None:
                self._keep(decision)
            if must_escalate(last, self.now, self.policy):
                self.due.append(Message("escalated", ON_CALL, last))
        told, self.due = self.due, []
        for message in told:
            self.sent.append(message)
            last = self._latest(message.standing.alert.cause)
            if last is not None and message.kind != "resolved" and message.audience not in last.told:
                self._put(replace(last, told=(*last.told, message.audience), told_at=self.now.isoformat()))
        return Telling(sent=len(told))

    def try_channels(self, alert: Alert) -> dict[str, str]:
        self.sent.append(Message("raised", OWNER, StandingAlert(alert, "", "", 1)))
        return {"memory": ""}

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def advance(self, name: str, value: str, *, expected: str | None) -> bool:
        if self.cursors.get(name) != expected:
            return False
        self.cursors[name] = value
        return True

    def standing(self) -> list[StandingAlert]:
        found = [one for one in self.rows if not one.resolved_at]
        return sorted(found, key=lambda one: (-rank(one.alert.severity), one.first))

    def history(self, limit: int = 100) -> list[StandingAlert]:
        return sorted(self.rows, key=lambda one: one.last, reverse=True)[:limit]

    def _latest(self, cause: str) -> StandingAlert | None:
        return next((one for one in reversed(self.rows) if one.alert.cause == cause), None)

    def _memory(self, cause: str) -> Memory:
        return self.memories.get(cause, Memory())

    def _put(self, standing: StandingAlert) -> None:
        last = self._latest(standing.alert.cause)
        at = next(index for index, one in enumerate(self.rows) if one is last)
        self.rows[at] = standing

    def _keep(self, decision: Decision) -> None:
        cause = decision.standing.alert.cause
        last = self._latest(cause)
        if decision.fresh and last is not None and not last.resolved_at:
            self._put(replace(last, resolved_at=self.now.isoformat(), resolution="it stands otherwise now"))
        if decision.fresh:
            self.rows.append(decision.standing)
        else:
            self._put(decision.standing)
        self.memories[cause] = decision.memory
        if decision.tell is not None:
            self._say(decision.tell, decision.standing)

    def _say(self, kind: Kind, standing: StandingAlert) -> None:
        self.due.append(Message(kind, OWNER, standing))
        if kind == "resolved" and ON_CALL in standing.told:
            self.due.append(Message(kind, ON_CALL, standing))
