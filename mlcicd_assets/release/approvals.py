"""Which releases go on because of what a person decided, read from the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlcicd_assets.release.decisions import newest_decision, newest_override
from mlcicd_assets.release.history import (
    APPROVAL_REQUESTED,
    APPROVED,
    DELETED,
    OVERRIDDEN,
    PROMOTED,
    ROLLED_BACK,
    TRAINED,
    Line,
)

DEPLOY = ("deployment", "monitoring_report")
REGISTER = ("registered_model", "staging_deployment", *DEPLOY)
# After these a decision is spent: the release it was made for has ended.
_ENDS = {PROMOTED, ROLLED_BACK, DELETED}


@dataclass(frozen=True)
class Release:
    """A release that a decision lets go on."""

    model: str
    digest: str
    envelope: str  # hash of the signed decision
    by: str
    stages: tuple[str, ...]


def releases_to_continue(lines: Sequence[Line], model: str, now: datetime) -> list[Release]:
    """Decisions that stand, have not expired, and that a release of the last trained package waits for."""
    trained = [line.digest for line in lines if line.action == TRAINED and line.digest]
    if not trained:
        return []
    digest = trained[-1]
    about = [line for line in lines if line.digest == digest]
    ended = max((line.seq for line in about if line.action in _ENDS), default=0)
    waits = [line for line in about if line.action == APPROVAL_REQUESTED and line.seq > ended]
    found = []
    if waits:
        decision = newest_decision(about, waits[-1].version, digest)
        if decision is not None and decision.action == APPROVED and _stands(decision, ended, now):
            found.append(_release(model, decision, DEPLOY))
    waiver = newest_override(about, digest)
    if waiver is not None and waiver.action == OVERRIDDEN and _stands(waiver, ended, now):
        found.append(_release(model, waiver, DEPLOY if _only_approval(waiver) else REGISTER))
    return found


def _only_approval(line: Line) -> bool:
    return not line.details.get("gates")


def _stands(line: Line, ended: int, now: datetime) -> bool:
    until = line.details.get("expires")
    known = line.details.get("envelope")
    return bool(known and until) and line.seq > ended and now < datetime.fromisoformat(str(until))


def _release(model: str, line: Line, stages: tuple[str, ...]) -> Release:
    return Release(model, str(line.digest), str(line.details["envelope"]), line.actor, stages)
