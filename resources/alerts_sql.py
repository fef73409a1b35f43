"""Alerts in a SQL database, and the sending of what is to be told: SQLite in the home, or any by URL."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from resources.alert import Alert, StandingAlert, Telling
from resources.alert_message import Channel, ChannelError, Message
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
from resources.alerts_schema import (
    alerts,
    causes,
    cursors,
    memory_text,
    messages,
    metadata,
    read_memory,
    read_standing,
    standing_row,
)
from resources.ledger import utc_now
from resources.protocols import ResourceError
from resources.redaction import redact
from resources.sql_engine import SqlPlace

_LEASE = timedelta(minutes=2)  # a process that died while sending holds a message no longer
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
_GIVEN_UP = timedelta(days=7)
_KEPT = timedelta(days=30)  # sent messages; alerts stay
_AT_ONCE = 20


class Notifier(Protocol):
    """Whom to tell by which channels; read anew each time, so that a mended file counts at once."""

    def policy(self) -> AlertPolicy:
        """How patient to be; the defaults where what is declared cannot be read."""
        ...

    def channels(self, alert: Alert, audience: str) -> Mapping[str, Channel]:
        """The channels to the owner, or to on-call; raises ResourceError where they cannot be read."""
        ...

    def every(self) -> Mapping[str, Channel]:
        """All channels; raises ResourceError."""
        ...


@dataclass(frozen=True)
class _Claimed:
    id: int
    alert: int
    message: Message
    taken: tuple[str, ...]
    attempts: int
    at: datetime


class SqlAlerts:
    """Implements `Alerts`; what a run raises waits for no channel: `tell` sends it."""

    def __init__(self, url: str, notifier: Notifier, clock: Callable[[], datetime] = utc_now) -> None:
        self._place = SqlPlace(url, metadata, what="the alerts", variable="MLCICD_ALERTS_URL")
        self._notifier = notifier
        self._clock = clock

    def __repr__(self) -> str:
        return f"SqlAlerts({self._place})"

    def raise_alert(self, alert: Alert) -> bool:
        """Record that a cause stands; False when there is nothing to tell. Raises ResourceError."""
        alert = _without_secrets(alert)
        policy, now = self._notifier.policy(), self._now()
        with self._place.transaction(write=True) as connection:
            row, last, memory = _latest(connection, alert.cause)
            decision = raised(last, memory, alert, now, policy)
            _keep(connection, row, decision, now)
        return decision.tell is not None

    def resolve(self, cause: str, *, reason: str) -> bool:
        """Record that a cause stands no more; False when it did not. Raises ResourceError."""
        policy, now = self._notifier.policy(), self._now()
        with self._place.transaction(write=True) as connection:
            row, last, memory = _latest(connection, cause)
            if last is None or last.resolved_at:
                return False
            _keep(connection, row, resolved(last, memory, redact(reason), now, policy), now)
        return True

    def acknowledge(self, cause: str, *, by: str) -> bool:
        """Record who takes care of a standing cause; False when it does not stand."""
        with self._place.transaction(write=True) as connection:
            row, last, _ = _latest(connection, cause)
            if last is None or last.resolved_at:
                return False
            connection.execute(sa.update(alerts).where(alerts.c.id == row).values(acknowledged_by=by))
        return True

    def standing(self) -> list[StandingAlert]:
        """Those that are not resolved, the most severe and oldest first."""
        with self._place.transaction() as connection:
            found = [read_standing(row) for row in _standing(connection)]
        return sorted(found, key=lambda one: (-rank(one.alert.severity), one.first))

    def history(self, limit: int = 100) -> list[StandingAlert]:
        """The newest, resolved ones too, newest first."""
        query = sa.select(alerts).order_by(alerts.c.last.desc(), alerts.c.id.desc()).limit(limit)
        with self._place.transaction() as connection:
            return [read_standing(row) for row in connection.execute(query).mappings()]

    def try_channels(self, alert: Alert) -> Mapping[str, str]:
        """Send an alert by every declared channel, recording nothing: channel -> why it failed, or ""."""
        at = self._now().isoformat()
        message = Message("raised", OWNER, StandingAlert(_without_secrets(alert), at, at, 1))
        outcome = {}
        for name, channel in self._notifier.every().items():
            try:
                channel.send(message)
            except ChannelError as error:
                outcome[name] = redact(str(error))
            else:
                outcome[name] = ""
        return outcome

    def cursor(self, name: str) -> str | None:
        """How far a watch has read; None before it first has."""
        with self._place.transaction() as connection:
            found: str | None = connection.scalar(sa.select(cursors.c.value).where(cursors.c.name == name))
        return found

    def advance(self, name: str, value: str, *, expected: str | None) -> bool:
        """Keep how far a watch has read; False where another one has moved it on from `expected`."""
        with self._place.transaction(write=True) as connection:
            known = connection.scalar(sa.select(cursors.c.value).where(cursors.c.name == name))
            if known != expected:
                return False
            connection.execute(sa.delete(cursors).where(cursors.c.name == name))
            connection.execute(sa.insert(cursors).values(name=name, value=value))
        return True

    def tell(self) -> Telling:
        """Send what is due; a message is sent by one process, and kept until all its channels took it."""
        policy, now = self._notifier.policy(), self._now()
        with self._place.transaction() as connection:
            due, ended, unheeded = (
                _due(connection, now),
                _settled(connection, now, policy),
                _unheeded(connection, now, policy),
            )
        if not (
            due or ended or unheeded
        ):  # nothing is locked where there is nothing to do, which is nearly always
            return Telling()
        with self._place.transaction(write=True) as connection:
            for row, decision in _settled(connection, now, policy):
                _keep(connection, row, decision, now)
            for row, standing in _unheeded(connection, now, policy):
                _put(connection, row, "escalated", ON_CALL, standing, now)
            claimed = _claim(connection, now)
        sent, failures = 0, []
        for one in claimed:
            taken, problems = self._send(one)
            self._sent(one, taken, problems)
            sent += not problems
            failures += problems
        return Telling(sent, len(claimed) - sent, tuple(dict.fromkeys(failures)))

    def _send(self, claimed: _Claimed) -> tuple[list[str], list[str]]:
        taken, problems = list(claimed.taken), []
        try:
            channels = self._notifier.channels(claimed.message.standing.alert, claimed.message.audience)
        except ResourceError as error:
            return taken, [redact(str(error))]
        for name, channel in channels.items():
            if name in taken:
                continue
            try:
                channel.send(claimed.message)
            except ChannelError as error:
                problems.append(redact(f"channel {name}: {error}"))
            else:
                taken.append(name)
        return taken, problems

    def _sent(self, claimed: _Claimed, taken: list[str], problems: list[str]) -> None:
        now = self._now()
        given_up = now - claimed.at > _GIVEN_UP
        again = "" if given_up or not problems else (now + _wait(claimed.attempts)).isoformat()
        told = len(taken) > len(claimed.taken)
        with self._place.transaction(write=True) as connection:
            connection.execute(
                sa.update(messages)
                .where(messages.c.id == claimed.id)
                .values(taken=json.dumps(taken), attempts=claimed.attempts + 1, due=again)
            )
            row = connection.execute(sa.select(alerts).where(alerts.c.id == claimed.alert)).mappings().one()
            standing = replace(read_standing(row), untold="; ".join(problems))
            if told and claimed.message.kind != "resolved" and claimed.message.audience not in standing.told:
                reached = (*standing.told, claimed.message.audience)
                standing = replace(standing, told=reached, told_at=now.isoformat())
            connection.execute(
                sa.update(alerts).where(alerts.c.id == claimed.alert).values(standing_row(standing))
            )
            old = (now - _KEPT).isoformat()
            connection.execute(sa.delete(messages).where((messages.c.due == "") & (messages.c.at < old)))

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)


def _without_secrets(alert: Alert) -> Alert:
    evidence = {
        name: redact(value) if isinstance(value, str) else value for name, value in alert.evidence.items()
    }
    return replace(alert, title=redact(alert.title), evidence=evidence, command=redact(alert.command))


def _latest(connection: Connection, cause: str) -> tuple[int, StandingAlert | None, Memory]:
    known = connection.execute(sa.select(causes).where(causes.c.cause == cause)).first()
    if known is None:
        return 0, None, Memory()
    row = connection.execute(sa.select(alerts).where(alerts.c.id == known.alert)).mappings().one()
    return known.alert, read_standing(row), read_memory(known.memory)


def _keep(connection: Connection, row: int, decision: Decision, now: datetime) -> None:
    values = standing_row(decision.standing)
    if decision.fresh:
        if row:
            connection.execute(
                sa.update(alerts)
                .where((alerts.c.id == row) & (alerts.c.resolved_at == ""))
                .values(resolved_at=now.isoformat(), resolution="it stands otherwise now")
            )
        row = _inserted(connection, values)
    else:
        connection.execute(sa.update(alerts).where(alerts.c.id == row).values(values))
    cause, memory = decision.standing.alert.cause, decision.memory
    known = {"alert": row, "memory": memory_text(memory), "flapping": memory.flapping}
    if not connection.execute(sa.update(causes).where(causes.c.cause == cause).values(known)).rowcount:
        connection.execute(sa.insert(causes).values(cause=cause, **known))
    if decision.tell is not None:
        _put(connection, row, decision.tell, OWNER, decision.standing, now)
        if decision.tell == "resolved" and ON_CALL in decision.standing.told:
            _put(connection, row, decision.tell, ON_CALL, decision.standing, now)


def _inserted(connection: Connection, values: Mapping[str, Any]) -> int:
    made = connection.execute(sa.insert(alerts).values(dict(values)).returning(alerts.c.id))
    return int(made.scalar_one())


def _put(
    connection: Connection, row: int, kind: Kind, audience: str, standing: StandingAlert, now: datetime
) -> None:
    connection.execute(
        sa.insert(messages).values(
            alert=row,
            kind=kind,
            audience=audience,
            standing=json.dumps(asdict(standing), default=str),
            at=now.isoformat(),
            taken="[]",
            attempts=0,
            due=now.isoformat(),
        )
    )


def _standing(connection: Connection) -> list[Mapping[Any, Any]]:
    return list(connection.execute(sa.select(alerts).where(alerts.c.resolved_at == "")).mappings())


def _settled(connection: Connection, now: datetime, policy: AlertPolicy) -> list[tuple[int, Decision]]:
    """Causes that flapped and are quiet now, by their alert's row."""
    found = []
    for known in connection.execute(sa.select(causes).where(causes.c.flapping)).all():
        row, last, memory = _latest(connection, known.cause)
        decision = settled(last, memory, now, policy) if last is not None else None
        if decision is not None:
            found.append((row, decision))
    return found


def _unheeded(connection: Connection, now: datetime, policy: AlertPolicy) -> list[tuple[int, StandingAlert]]:
    """What nobody acknowledged in time and on-call has not been told, by its row."""
    escalated = set(connection.scalars(sa.select(messages.c.alert).where(messages.c.audience == ON_CALL)))
    rows = [(row["id"], read_standing(row)) for row in _standing(connection) if row["id"] not in escalated]
    return [(row, standing) for row, standing in rows if must_escalate(standing, now, policy)]


def _due(connection: Connection, now: datetime) -> list[Mapping[Any, Any]]:
    """In order: what is told of an alert waits for what is still to be told to the same people before it."""
    pending = sa.select(messages).where(messages.c.due != "").order_by(messages.c.id)
    first: dict[tuple[int, str], Mapping[Any, Any]] = {}
    for row in connection.execute(pending).mappings():
        first.setdefault((row["alert"], row["audience"]), row)
    return [row for row in first.values() if row["due"] <= now.isoformat()][:_AT_ONCE]


def _claim(connection: Connection, now: datetime) -> list[_Claimed]:
    """Take what is due for the time of a lease, so that no other process sends it as well."""
    found = _due(connection, now)
    connection.execute(
        sa.update(messages)
        .where(messages.c.id.in_([one["id"] for one in found]))
        .values(due=(now + _LEASE).isoformat())
    )
    return [_claimed(row) for row in found]


def _claimed(row: Mapping[Any, Any]) -> _Claimed:
    kept = json.loads(row["standing"])
    alert, told = Alert(**kept.pop("alert")), tuple(kept.pop("told"))
    message = Message(row["kind"], row["audience"], StandingAlert(alert=alert, told=told, **kept))
    taken = tuple(json.loads(row["taken"]))
    return _Claimed(
        row["id"], row["alert"], message, taken, row["attempts"], datetime.fromisoformat(row["at"])
    )


def _wait(attempts: int) -> timedelta:
    return min(_LONGEST_WAIT, _FIRST_WAIT * float(2 ** min(attempts, 10)))
