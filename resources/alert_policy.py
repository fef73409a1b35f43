"""Whom to tell of what, and when not to: one message per cause until it changes. Pure.

It lies here and not in the package, because the store decides within its transaction, so that two processes
that see the same failure tell of it once; and resources never import the package.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from resources.alert import Alert, Severity, StandingAlert

Kind = Literal["raised", "changed", "resolved", "flapping", "settled", "escalated"]
OWNER, ON_CALL = "owner", "on-call"
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True)
class AlertPolicy:
    """How patient it is."""

    cool_down: timedelta = timedelta(hours=1)  # what comes back sooner is flapping, and told once as that
    changes: int = 5  # so many different states of a cause within the cool-down are flapping as well
    # Without acknowledgement for so long, on-call is told; a severity that is not named is never escalated.
    escalate_after: Mapping[Severity, timedelta] = field(
        default_factory=lambda: {"critical": timedelta(minutes=30), "warning": timedelta(hours=24)}
    )


@dataclass(frozen=True)
class Memory:
    """What a cause has been through lately."""

    told: tuple[tuple[str, str, Severity], ...] = ()  # when which state of which severity was told
    flapping: bool = False
    changed: str = ""  # when it was last raised, changed or resolved


@dataclass(frozen=True)
class Decision:
    """How a cause stands now, and what to tell of it."""

    standing: StandingAlert
    memory: Memory
    tell: Kind | None = None
    fresh: bool = False  # an alert of its own, not another occurrence of the one before


def raised(
    last: StandingAlert | None, memory: Memory, alert: Alert, now: datetime, policy: AlertPolicy
) -> Decision:
    """What becomes of a cause that is seen: told where it is new, worse or another; else counted."""
    at = now.isoformat()
    stands = last is not None and not last.resolved_at
    if last is not None and stands and _same(last.alert, alert):
        return Decision(replace(last, alert=alert, last=at, count=last.count + 1), memory)
    flapping = is_flapping(memory, now, policy)
    recent = memory.told if flapping else _recent(memory, now, policy)
    known = any(state == alert.state for _, state, _ in recent) or len(recent) >= policy.changes
    worse = bool(recent) and rank(alert.severity) > max(rank(severity) for _, _, severity in recent)
    if last is None or worse or not (flapping or known):
        told = (*recent, (at, alert.state, alert.severity))
        kind: Kind = "changed" if stands else "raised"
        return Decision(StandingAlert(alert, at, at, 1), Memory(told, flapping, at), kind, fresh=True)
    again = replace(last, alert=alert, last=at, count=last.count + 1, resolved_at="", resolution="")
    return Decision(again, Memory(recent, True, at), None if flapping else "flapping")


def resolved(
    last: StandingAlert, memory: Memory, reason: str, now: datetime, policy: AlertPolicy
) -> Decision:
    """What becomes of a cause that stands no more: said once, unless it is flapping."""
    at = now.isoformat()
    flapping = is_flapping(memory, now, policy)
    ended = replace(last, resolved_at=at, resolution=reason)
    return Decision(ended, replace(memory, flapping=flapping, changed=at), None if flapping else "resolved")


def settled(last: StandingAlert, memory: Memory, now: datetime, policy: AlertPolicy) -> Decision | None:
    """The end of flapping: how the cause stands is said once it was quiet for the cool-down; else None."""
    if not memory.flapping or is_flapping(memory, now, policy):
        return None
    told = () if last.resolved_at else ((now.isoformat(), last.alert.state, last.alert.severity),)
    return Decision(last, Memory(told, False, memory.changed), "settled")


def must_escalate(standing: StandingAlert, now: datetime, policy: AlertPolicy) -> bool:
    """Whether on-call must be told, as nobody has acknowledged it in time."""
    after = policy.escalate_after.get(standing.alert.severity)
    if after is None or standing.resolved_at or standing.acknowledged_by or ON_CALL in standing.told:
        return False
    # An owner who could not be reached is no reason to wait longer.
    return now - datetime.fromisoformat(standing.told_at or standing.first) >= after


def is_flapping(memory: Memory, now: datetime, policy: AlertPolicy) -> bool:
    """Whether it flaps still: it has changed within the cool-down."""
    return memory.flapping and now - datetime.fromisoformat(memory.changed) < policy.cool_down


def rank(severity: Severity) -> int:
    """More is worse."""
    return SEVERITIES.index(severity)


def _same(stands: Alert, seen: Alert) -> bool:
    return seen.state == stands.state and rank(seen.severity) <= rank(stands.severity)


def _recent(memory: Memory, now: datetime, policy: AlertPolicy) -> tuple[tuple[str, str, Severity], ...]:
    return tuple(one for one in memory.told if now - datetime.fromisoformat(one[0]) < policy.cool_down)
