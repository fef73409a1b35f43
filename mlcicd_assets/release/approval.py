"""The signed approval: a person's decision about one version, needed where a model's risk is high."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from mlcicd_assets.release.envelope import Refused, seal_statement
from mlcicd_assets.release.signatories import (
    Signatory,
    Trust,
    open_signed,
    require_other_eyes,
    require_signatory,
)
from mlcicd_assets.release.verdict import ApprovalPolicy, Digest, Line, Proof, Verdict

PREDICATE_TYPE = "https://github.com/mlcicd/mlcicd-assets/approval/v1"


def _moment(value: str) -> str:
    if datetime.fromisoformat(value).tzinfo is None:
        raise ValueError("a time has an offset, for example 2026-01-31T12:00:00+00:00")
    return value


Moment = Annotated[str, AfterValidator(_moment)]


class AwaitsApproval(Refused):
    """No decision stands: nobody has decided yet, or what was decided has expired."""


class Approval(Proof):
    """Who decided what about one version, why, and until when the decision may be used."""

    model: Line = Field(min_length=1)
    version: int = Field(ge=1)
    digest: Digest
    decision: Literal["approve", "reject"]
    by: Line = Field(min_length=1)
    reason: Line = Field(min_length=1)
    at: Moment
    expires: Moment


def needed(verdict: Verdict) -> bool:
    """Whether a person must approve before production."""
    return verdict.policy.required


def seal_approval(approval: Approval, private_key_pem: bytes) -> bytes:
    """Sign the decision; returns the DSSE envelope (JSON)."""
    predicate = approval.model_dump(mode="json", exclude={"model", "digest"})
    return seal_statement(PREDICATE_TYPE, approval.model, approval.digest, predicate, private_key_pem)


def open_approval(
    envelope: bytes | None, trusted_keys: Sequence[bytes], approvers: Sequence[Signatory] = ()
) -> Approval:
    """Prove the signature and read the decision, whatever it says; raises Refused."""
    return _opened(envelope, Trust(trusted_keys, approvers))[0]


def _opened(envelope: bytes | None, trust: Trust) -> tuple[Approval, Signatory | None]:
    sealed, signer = open_signed(envelope, trust, PREDICATE_TYPE)
    try:
        found = Approval.model_validate({**sealed.predicate, "model": sealed.model, "digest": sealed.digest})
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        raise Refused(f"the approval is not complete: {fields}") from error
    return found, signer


def authorise_approval(
    envelope: bytes | None,
    trusted_keys: Sequence[bytes],
    *,
    verdict: Verdict,
    version: int,
    now: datetime,
    approvers: Sequence[Signatory] = (),
    declared: ApprovalPolicy | None = None,
) -> Approval | None:
    """The one decision whether production may have this version; None where no approval is needed.

    `verdict` comes from `verdict.authorise`. `now` (with offset) is the moment of promotion: an approval
    limits when a version may be promoted, not how long it then serves. `declared` is today's policy, where
    the caller knows the declaration; it holds beside the one in the verdict. Raises Refused.
    """
    policies = [one for one in (verdict.policy, declared) if one is not None]
    if not any(policy.required for policy in policies):
        return None
    try:
        approval, signer = _decision(envelope, Trust(trusted_keys, approvers), verdict)
        _about(approval, verdict, version)
        _valid(approval, now)
        for policy in policies:
            require_signatory(policy, signer, approval.by, "approval")
            require_other_eyes(policy, verdict, approval.by, "approval")
    except Refused as refused:
        raise type(refused)(
            f"{verdict.model} version {version} may not go to production: {refused}. "
            f"Run: mlcicd approve {verdict.model} {version} --by NAME --reason TEXT"
        ) from refused
    return approval


def _decision(envelope: bytes | None, trust: Trust, verdict: Verdict) -> tuple[Approval, Signatory | None]:
    if not envelope:
        why = "its risk is high" if verdict.risk == "high" else "a person's approval is declared"
        raise AwaitsApproval(f"{why} and nobody has approved it")
    return _opened(envelope, trust)


def _about(approval: Approval, verdict: Verdict, version: int) -> None:
    if approval.model != verdict.model or approval.version != version:
        raise Refused(f"the approval is for {approval.model} version {approval.version}")
    if approval.digest != verdict.digest:
        raise Refused(f"the approval is for another artifact, {approval.digest[:12]}")


def _valid(approval: Approval, now: datetime) -> None:
    if approval.decision != "approve":
        raise Refused(f"{approval.by} rejected it: {approval.reason}")
    check_time(approval.at, approval.expires, now, f"the approval of {approval.by}")


def check_time(at: str, expires: str, now: datetime, what: str) -> None:
    """Refuse what is dated in the future, or (AwaitsApproval) has expired."""
    if now < datetime.fromisoformat(at):
        raise Refused(f"{what} is dated in the future, {at}: check the clocks")
    if now >= datetime.fromisoformat(expires):
        raise AwaitsApproval(f"{what} expired at {expires}")
