"""The signed emergency override: a person lets one exact artifact past named gates, or past approval.

It waives what it names, nothing else: the package's digest and every signature are proven all the same, a
verdict must exist, and a gate that is not named still refuses.
"""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field, ValidationError, model_validator

from mlcicd_assets.release.approval import Moment, check_time
from mlcicd_assets.release.envelope import Refused, seal_statement
from mlcicd_assets.release.signatories import (
    Signatory,
    Trust,
    open_signed,
    require_other_eyes,
    require_signatory,
)
from mlcicd_assets.release.verdict import ApprovalPolicy, Digest, Line, Proof, Verdict

PREDICATE_TYPE = "https://github.com/mlcicd/mlcicd-assets/override/v1"


class Override(Proof):
    """Who waived what for one artifact, why, and until when it may be used for a release."""

    model: Line = Field(min_length=1)
    digest: Digest
    gates: tuple[Line, ...] = ()
    approval: bool = False  # whether the person's approval is waived as well
    by: Line = Field(min_length=1)
    reason: Line = Field(min_length=1)
    at: Moment
    expires: Moment

    @model_validator(mode="after")
    def _of_something(self) -> "Override":
        if not self.gates and not self.approval:
            raise ValueError("an override names the gates that it waives, or the approval")
        return self

    @property
    def waived(self) -> str:
        """What is waived, in words."""
        return ", ".join([*(f"gate {gate}" for gate in self.gates), *(["approval"] if self.approval else [])])


def seal_override(override: Override, private_key_pem: bytes) -> bytes:
    """Sign it; returns the DSSE envelope (JSON)."""
    predicate = override.model_dump(mode="json", exclude={"model", "digest"})
    return seal_statement(PREDICATE_TYPE, override.model, override.digest, predicate, private_key_pem)


def open_override(envelope: bytes | None, trust: Trust) -> tuple[Override, Signatory | None]:
    """Prove the signature and read it; raises Refused."""
    sealed, signer = open_signed(envelope, trust, PREDICATE_TYPE)
    try:
        found = Override.model_validate({**sealed.predicate, "model": sealed.model, "digest": sealed.digest})
    except ValidationError as error:
        raise Refused(f"the override is not complete: {error.errors()[0]['msg']}") from error
    return found, signer


def authorise_override(
    envelope: bytes | None,
    trust: Trust,
    *,
    verdict: Verdict,
    now: datetime,
    declared: ApprovalPolicy | None = None,
) -> Override:
    """Prove that an override may be used for the verdict's artifact at this moment; raises Refused.

    Where approvers or four eyes are declared, they hold for the override as they do for an approval.
    """
    override, signer = open_override(envelope, trust)
    if override.model != verdict.model:
        raise Refused(f"the override is for the model {override.model}")
    if override.digest != verdict.digest:
        raise Refused(f"the override is for another artifact, {override.digest[:12]}")
    check_time(override.at, override.expires, now, f"the override of {override.by}")
    for policy in policies_of(verdict, declared):
        require_signatory(policy, signer, override.by, "override")
        require_other_eyes(policy, verdict, override.by, "override")
    return override


def policies_of(verdict: Verdict, declared: ApprovalPolicy | None) -> Sequence[ApprovalPolicy]:
    """What the verdict was signed under, and what is declared today."""
    return [verdict.policy] if declared is None else [verdict.policy, declared]
