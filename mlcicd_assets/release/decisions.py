"""Which decision of a person stands for a version, read from the ledger: the newest one, and no older one."""

import hashlib
from collections.abc import Iterable

from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.history import APPROVAL_REQUESTED, APPROVED, OVERRIDDEN, PROMOTED, REJECTED, Line


def envelope_id(envelope: bytes) -> str:
    """Hex SHA-256 of a signed envelope, by which the ledger's line names it."""
    return hashlib.sha256(envelope).hexdigest()


def newest_decision(lines: Iterable[Line], version: int | None, digest: str) -> Line | None:
    """The last approval or rejection of a version; None before any."""
    made = [
        line
        for line in lines
        if line.action in {APPROVED, REJECTED} and (line.version, line.digest) == (version, digest)
    ]
    return made[-1] if made else None


def newest_override(lines: Iterable[Line], digest: str) -> Line | None:
    """The last override of an artifact; None before any."""
    made = [line for line in lines if line.action == OVERRIDDEN and line.digest == digest]
    return made[-1] if made else None


def require_newest(line: Line | None, envelope: bytes, what: str) -> None:
    """Refuse a signed file that the ledger's newest line does not name: an older one came back."""
    if line is None:
        raise Refused(f"the {what} is not in the ledger: it was put there by another hand")
    known = line.details.get("envelope")
    if known is not None and known != envelope_id(envelope):
        raise Refused(
            f"the {what} is not the one that the ledger has last ({line.action} by {line.actor} at {line.at})"
        )


def requested(lines: Iterable[Line], version: int, digest: str) -> bool:
    """Whether a release of the version waits for a person: asked for since it was last promoted."""
    waits = False
    for line in lines:
        if (line.version, line.digest) == (version, digest):
            waits = (waits or line.action == APPROVAL_REQUESTED) and line.action != PROMOTED
    return waits
