"""The one decision whether an artifact may be registered, staged, promoted or served.

Registration, deployer and model server call these two functions; what they refuse goes nowhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mlcicd_assets.release.approval import Approval, authorise_approval, open_approval
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.override import Override, authorise_override
from mlcicd_assets.release.signatories import Trust
from mlcicd_assets.release.verdict import ApprovalPolicy, Verdict, authorise, open_envelope


@dataclass(frozen=True)
class Proofs:
    """The signed envelopes that lie beside a package; None where there is none."""

    verdict: bytes | None
    approval: bytes | None = None
    override: bytes | None = None


@dataclass(frozen=True)
class Authorised:
    """What was proven. `override` is set only where it was needed."""

    verdict: Verdict
    approval: Approval | None = None
    override: Override | None = None


def authorise_artifact(
    proofs: Proofs,
    trust: Trust,
    *,
    model: str,
    digest: str,
    now: datetime,
    required_gates: Mapping[str, str] | None = None,
    declared: ApprovalPolicy | None = None,
) -> Authorised:
    """Whether the package may be registered and staged; raises Refused.

    `required_gates` and `declared` are today's gates and approval policy, where the declaration is known.
    """

    def prove(waived: tuple[str, ...] = ()) -> Verdict:
        return authorise(
            proofs.verdict,
            trust.keys,
            model=model,
            digest=digest,
            required_gates=required_gates,
            waived=waived,
        )

    try:
        return Authorised(prove())
    except Refused as refused:
        if proofs.override is None:
            raise
        override = _override(proofs, trust, refused, now, declared)
        return Authorised(prove(override.gates), override=override)


def authorise_production(
    proofs: Proofs,
    trust: Trust,
    *,
    model: str,
    digest: str,
    version: int,
    now: datetime,
    required_gates: Mapping[str, str] | None = None,
    declared: ApprovalPolicy | None = None,
) -> Authorised:
    """Whether the version may have production traffic: `now` is the moment it is given it; raises Refused."""
    proven = authorise_artifact(
        proofs,
        trust,
        model=model,
        digest=digest,
        now=now,
        required_gates=required_gates,
        declared=declared,
    )
    prove = _approving(proofs, trust, proven.verdict, version, now, declared)
    try:
        return Authorised(proven.verdict, prove(), proven.override)
    except Refused as refused:
        if proofs.override is None:
            raise
        override = proven.override or _override(proofs, trust, refused, now, declared)
        if not override.approval:
            raise
        _not_rejected_since(proofs, trust, override)
        return Authorised(proven.verdict, None, override)


def _approving(
    proofs: Proofs,
    trust: Trust,
    verdict: Verdict,
    version: int,
    now: datetime,
    declared: ApprovalPolicy | None,
) -> Callable[[], Approval | None]:
    return lambda: authorise_approval(
        proofs.approval,
        trust.keys,
        verdict=verdict,
        version=version,
        now=now,
        approvers=trust.approvers,
        declared=declared,
    )


def _not_rejected_since(proofs: Proofs, trust: Trust, override: Override) -> None:
    """An override waives an approval that is missing; a rejection that came after it stands."""
    if not proofs.approval:
        return
    decision = open_approval(proofs.approval, trust.keys, trust.approvers)
    later = datetime.fromisoformat(decision.at) >= datetime.fromisoformat(override.at)
    if decision.decision == "reject" and later:
        raise Refused(f"{override.model}: {decision.by} rejected it after the override: {decision.reason}")


def _override(
    proofs: Proofs, trust: Trust, refused: Refused, now: datetime, declared: ApprovalPolicy | None
) -> Override:
    """The override that is asked for because of `refused`; raises Refused with both reasons."""
    verdict = open_envelope(proofs.verdict, trust.keys)
    try:
        return authorise_override(proofs.override, trust, verdict=verdict, now=now, declared=declared)
    except Refused as second:
        raise Refused(f"{refused} The override does not help: {second}") from second
