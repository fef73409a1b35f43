"""What of the releases needs a person now, read from the ledger's lines. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from mlcicd_assets.release.decisions import newest_decision, newest_override
from mlcicd_assets.release.history import (
    APPROVAL_REQUESTED,
    APPROVED,
    DELETED,
    OVERRIDDEN,
    PROMOTED,
    REJECTED,
    ROLLED_BACK,
    TRAINED,
    Line,
)
from mlcicd_assets.release.rollout_history import (
    COMPLETED,
    HELD,
    RESUMED,
    RETRIED,
    ROLLBACK_BEGAN,
    ROLLBACK_COMPLETED,
)
from resources.protocols import Alert

ACTIONS = frozenset(
    {TRAINED, PROMOTED, ROLLED_BACK, DELETED, OVERRIDDEN, APPROVAL_REQUESTED, APPROVED, REJECTED}
    | {COMPLETED, HELD, RESUMED, RETRIED, ROLLBACK_BEGAN, ROLLBACK_COMPLETED}
)
PREFIXES = ("rollback/", "override/", "approval/", "rollout/")
_BACK = {ROLLED_BACK, ROLLBACK_COMPLETED}
_FORWARD = {PROMOTED, COMPLETED, RETRIED}
_AFTER_HOLD = {RESUMED, ROLLBACK_BEGAN, *_BACK, *_FORWARD}
_EXPIRES_SOON = timedelta(hours=24)


def release_alerts(
    lines: Sequence[Line], owners: Mapping[str, str], now: datetime, soon: timedelta = _EXPIRES_SOON
) -> list[Alert]:
    """What stands, for every model of the lines; `owners` by model."""
    by_model: dict[str, list[Line]] = {}
    for line in lines:
        if line.model:
            by_model.setdefault(line.model, []).append(line)
    found: list[Alert] = []
    for model, own in by_model.items():
        owner = owners.get(model, "")
        found += [*_rolled_back(own, model, owner), *_held(own, model, owner)]
        found += [*_overridden(own, model, owner, now), *_approval(own, model, owner, now, soon)]
    return found


def _rolled_back(lines: Sequence[Line], model: str, owner: str) -> Iterator[Alert]:
    last = next((line for line in reversed(lines) if line.action in _BACK | _FORWARD), None)
    if last is None or last.action not in _BACK:
        return
    by_itself = last.actor.startswith("run ")
    yield Alert(
        cause=f"rollback/{model}",
        state=f"version {last.version} {(last.digest or '')[:12]}",
        severity="critical" if by_itself else "warning",
        title=f"{model}: version {last.version} was rolled back: {last.reason}",
        subject=f"model:{model}",
        owner=owner,
        evidence={"version": last.version, "digest": last.digest, "at": last.at, "by": last.actor},
        command=f"mlcicd rollout status {model}",
    )


def _held(lines: Sequence[Line], model: str, owner: str) -> Iterator[Alert]:
    last = next((line for line in reversed(lines) if line.action in _AFTER_HOLD | {HELD}), None)
    if last is None or last.action != HELD:
        return
    yield Alert(
        cause=f"rollout/{model}",
        state=f"version {last.version} held",
        severity="warning",
        title=f"{model}: the rollout of version {last.version} is held: {last.reason}",
        subject=f"model:{model}",
        owner=owner,
        evidence={"step": str(last.details.get("step", "")), "at": last.at, "by": last.actor},
        command=f"mlcicd rollout status {model}",
    )


def _overridden(lines: Sequence[Line], model: str, owner: str, now: datetime) -> Iterator[Alert]:
    """While it may still be used, and for as long as what it let pass is champion."""
    champion = next((line.digest for line in reversed(lines) if line.action in {PROMOTED, ROLLED_BACK}), None)
    for digest in {line.digest for line in lines if line.action == OVERRIDDEN and line.digest}:
        line = newest_override(lines, digest)
        if line is None or not (digest == champion or now < _until(line, now)):
            continue
        gates = line.details.get("gates")
        waived = ", ".join(str(gate) for gate in gates) if isinstance(gates, list) and gates else "approval"
        yield Alert(
            cause=f"override/{model}/{digest[:12]}",
            state=str(line.details.get("envelope", line.seq)),
            severity="critical",
            title=f"{model}: {line.actor} let {digest[:12]} past {waived}: {line.reason}",
            subject=f"model:{model}",
            owner=owner,
            evidence={
                "digest": digest,
                "by": line.actor,
                "until": str(line.details.get("expires", "")),
                "champion": digest == champion,
            },
            command=f"mlcicd audit {model}",
        )


def _approval(
    lines: Sequence[Line], model: str, owner: str, now: datetime, soon: timedelta
) -> Iterator[Alert]:
    """Of the last trained package, while its release waits."""
    trained = next((line.digest for line in reversed(lines) if line.action == TRAINED and line.digest), None)
    about = [line for line in lines if line.digest == trained] if trained else []
    ended = max((line.seq for line in about if line.action in {PROMOTED, ROLLED_BACK, DELETED}), default=0)
    waits = [line for line in about if line.action == APPROVAL_REQUESTED and line.seq > ended]
    if not waits or trained is None:
        return
    asked = waits[-1]
    decision = newest_decision(about, asked.version, trained)
    if decision is not None and (decision.seq < ended or decision.action != APPROVED):
        decision = None if decision.seq < ended else decision
        if decision is not None:  # a rejection ends the release
            return
    state, title = _how_it_waits(model, asked, decision, now, soon)
    if not state:
        return
    yield Alert(
        cause=f"approval/{model}",
        state=f"version {asked.version} {trained[:12]} {state}",
        severity="warning",
        title=title,
        subject=f"model:{model}",
        owner=owner,
        evidence={"version": asked.version, "digest": trained, "asked for": asked.at, "why": asked.reason},
        command=f"mlcicd approve {model} {asked.version} --by NAME --reason WHY",
    )


def _how_it_waits(
    model: str, asked: Line, decision: Line | None, now: datetime, soon: timedelta
) -> tuple[str, str]:
    named = f"{model}: version {asked.version}"
    if decision is None:
        return "waits", f"{named} waits for a person's approval"
    until = _until(decision, now)
    if now >= until:
        return "expired", f"{named}: the approval of {decision.actor} expired at {until.isoformat()}, unused"
    if until - now <= soon:
        return "expires", f"{named}: the approval of {decision.actor} expires at {until.isoformat()}, unused"
    return "", ""


def _until(line: Line, now: datetime) -> datetime:
    text = line.details.get("expires")
    return datetime.fromisoformat(str(text)) if text else now
