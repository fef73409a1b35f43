"""The signed approval: a person's decision about one version, needed where a model's risk is high."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from mlcicd_assets.release.envelope import Refused, open_statement, seal_statement
from mlcicd_assets.release.verdict import Digest, Line, Proof, Verdict

PREDICATE_TYPE = "https://github.com/mlcicd/mlcicd-assets/approval/v1"


def _moment(value: str) -> str:
    if datetime.fromisoformat(value).tzinfo is None:
        raise ValueError("a time has an offset, for example 2026-01-31T12:00:00+00:00")
    return value


Moment = Annotated[str, AfterValidator(_moment)]


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
    return verdict.risk == "high"


def seal_approval(approval: Approval, private_key_pem: bytes) -> bytes:
    """Sign the decision; returns the DSSE envelope (JSON)."""
    predicate = approval.model_dump(mode="json", exclude={"model", "digest"})
    return seal_statement(PREDICATE_TYPE, approval.model, approval.digest, predicate, private_key_pem)


def open_approval(envelope: bytes | None, trusted_keys: Sequence[bytes]) -> Approval:
    """Prove the signature and read the decision, whatever it says; raises Refused."""
    sealed = open_statement(envelope, trusted_keys, PREDICATE_TYPE)
    try:
        return Approval.model_validate({**sealed.predicate, "model": sealed.model, "digest": sealed.digest})
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        raise Refused(f"the approval is not complete: {fields}") from error


def authorise_approval(
    envelope: bytes | None, trusted_keys: Sequence[bytes], *, verdict: Verdict, version: int, now: datetime
) -> Approval | None:
    """The one decision whether production may have this version; None where no approval is needed.

    `verdict` comes from `verdict.authorise`. `now` (with offset) is the moment of promotion: an approval
    limits when a version may be promoted, not how long it then serves. Raises Refused.
    """
    if not needed(verdict):
        return None
    try:
        approval = _decision(envelope, trusted_keys)
        _about(approval, verdict, version)
        _valid(approval, now)
    except Refused as refused:
        raise Refused(
            f"{verdict.model} version {version} may not go to production: {refused}. "
            f"Run: mlcicd approve {verdict.model} {version} --by NAME --reason TEXT"
        ) from refused
    return approval


def _decision(envelope: bytes | None, trusted_keys: Sequence[bytes]) -> Approval:
    if not envelope:
        raise Refused("its risk is high and nobody has approved it")
    return open_approval(envelope, trusted_keys)


def _about(approval: Approval, verdict: Verdict, version: int) -> None:
    if approval.model != verdict.model or approval.version != version:
        raise Refused(f"the approval is for {approval.model} version {approval.version}")
    if approval.digest != verdict.digest:
        raise Refused(f"the approval is for another artifact, {approval.digest[:12]}")


def _valid(approval: Approval, now: datetime) -> None:
    if approval.decision != "approve":
        raise Refused(f"{approval.by} rejected it: {approval.reason}")
    if now < datetime.fromisoformat(approval.at):
        raise Refused(f"the approval is dated in the future, {approval.at}: check the clocks")
    if now >= datetime.fromisoformat(approval.expires):
        raise Refused(f"the approval of {approval.by} expired at {approval.expires}")
