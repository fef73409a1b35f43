"""Whether production may have a version now: all proofs, and the person's decision that stands in the ledger.

A version that nobody has decided on is not a failure: the release waits, without holding a worker, and the
sensor `approvals` goes on with it.
"""

from datetime import datetime
from typing import Any

import dagster as dg

from mlcicd_assets.assets.candidates import required_gates
from mlcicd_assets.assets.proofs import ProofFiles, declared_policy, trust_of
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.approval import AwaitsApproval
from mlcicd_assets.release.authorisation import Authorised, authorise_production
from mlcicd_assets.release.decisions import newest_decision, newest_override, requested, require_newest
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.history import APPROVAL_REQUESTED
from resources.protocols import Keys, Ledger, Release


class Waiting(Exception):
    """The release waits for a person; says for what, and the command."""


def clear(
    lane: ModelLane, ledger: Ledger, keys: Keys, release: Release, now: datetime, actor: str
) -> Authorised:
    """Prove everything that production asks for; raises Waiting (written to the ledger once) or Failure."""
    try:
        return _proven(lane, ledger, keys, release, now)
    except AwaitsApproval as waits:
        request(ledger, release, str(waits), actor)
        raise Waiting(f"waiting for approval: {waits}") from waits
    except Refused as refused:
        raise dg.Failure(
            f"{refused}; then materialize {release.model}/deployment", allow_retries=False
        ) from refused


def _proven(lane: ModelLane, ledger: Ledger, keys: Keys, release: Release, now: datetime) -> Authorised:
    proofs = ProofFiles(release.verdict, release.approval, release.override).read()
    proven = authorise_production(
        proofs,
        trust_of(keys),
        model=release.model,
        digest=release.digest,
        version=release.version,
        now=now,
        required_gates=required_gates(lane),
        declared=declared_policy(lane),
    )
    lines = ledger.entries(release.model)
    decision = newest_decision(lines, release.version, release.digest)
    if proven.approval is not None and proofs.approval is not None:
        require_newest(decision, proofs.approval, "approval")
    if proven.override is not None and proofs.override is not None:
        require_newest(newest_override(lines, release.digest), proofs.override, "override")
    return proven


def request(ledger: Ledger, release: Release, why: str, actor: str) -> None:
    """Write down, once, that a version waits for a person."""
    if requested(ledger.entries(release.model), release.version, release.digest):
        return
    ledger.append(
        APPROVAL_REQUESTED,
        release.model,
        actor=actor,
        reason=why,
        version=release.version,
        digest=release.digest,
    )


def waiting_shown(release: Release, waits: Waiting) -> dict[str, Any]:
    """What the UI shows on the asset while the release waits."""
    return {
        "state": "waiting for approval",
        "version": release.version,
        "digest": release.digest,
        "why": str(waits),
        "command": f"mlcicd approve {release.model} {release.version} --by NAME --reason WHY",
    }


def authority_shown(authorised: Authorised) -> dict[str, Any]:
    """Who agreed, for the asset's metadata; an override stands out."""
    shown: dict[str, Any] = {}
    if authorised.approval is not None:
        shown["approved by"] = f"{authorised.approval.by}: {authorised.approval.reason}"
    if authorised.override is not None:
        used = authorised.override
        shown["OVERRIDE"] = f"{used.by} waived {used.waived}: {used.reason}"
    return shown
