"""A person's decision about a release: approve, reject or override; signed, kept, written down.

The command line and the UI's job come here, so that both refuse the same.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from mlcicd_assets.assets.proofs import declared_policy, proof_files, trust_of
from mlcicd_assets.ml.artifact.package import PackageError, read_package
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.release.approval import Approval, seal_approval
from mlcicd_assets.release.authorisation import authorise_artifact
from mlcicd_assets.release.decisions import envelope_id
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.history import APPROVED, OVERRIDDEN, REJECTED
from mlcicd_assets.release.override import Override, seal_override
from mlcicd_assets.release.run_files import (
    APPROVAL,
    OVERRIDE,
    PACKAGE,
    Candidate,
    candidate_pointer,
    decision_pointer,
    override_pointer,
    retention_pointer,
)
from mlcicd_assets.release.signatories import (
    Signatory,
    identity,
    require_other_eyes,
    require_signatory,
)
from mlcicd_assets.release.verdict import ApprovalPolicy, Verdict, open_envelope
from resources.protocols import Conflict, Keys, Ledger, ModelVersion, Registry, ResourceError, Tracking

# A rejection stands until somebody approves.
_NEVER = timedelta(days=36_500)
LONGEST_OVERRIDE = timedelta(days=1)


class BadDecision(ValueError):
    """A decision that cannot be written as it was given; names what is wrong with it."""


@dataclass(frozen=True)
class Desk:
    """Where decisions are made: the model, what it is kept in, and the moment."""

    lane: ModelLane
    registry: Registry
    tracking: Tracking
    ledger: Ledger
    keys: Keys
    now: datetime
    own_keys: bool = True  # whether a person's own key may be used here

    @property
    def model(self) -> str:
        """The model's name."""
        return self.lane.model.name

    @property
    def policy(self) -> ApprovalPolicy:
        """Who must agree, as declared now."""
        return declared_policy(self.lane)


@dataclass(frozen=True)
class Signed:
    """A decision and whose key signed it."""

    decision: Approval | Override
    envelope: bytes
    signer: Signatory | None  # None: the pipeline's key

    @property
    def signed_by(self) -> str:
        """In words."""
        return "the pipeline's key" if self.signer is None else f"the key of {self.signer.name}"


def decide(
    desk: Desk,
    number: int,
    decision: Literal["approve", "reject"],
    *,
    by: str,
    reason: str,
    expires: str = "",
) -> Signed:
    """Sign a decision about a version, keep it with the version's run, and write it to the ledger.

    Raises Refused where the version's own proofs do not hold (nobody can approve what failed its gates), or
    where the person may not decide; BadDecision; ResourceError.
    """
    version = desk.registry.get(desk.model, number)
    if version is None:
        raise ResourceError(
            f"the registry has no version {number} of {desk.model}; see 'mlcicd status {desk.model}'"
        )
    verdict = _verdict(desk, version)
    policies = _policies(desk, verdict)
    if not any(policy.required for policy in policies):
        raise ResourceError(f"{desk.model} version {number} is of {verdict.risk} risk: no person is asked")
    approval = _approval(desk, version, decision, by, reason, expires)
    signed = _signed(desk, approval)
    if decision == "approve":
        _require_may(policies, verdict, signed, by, "approval")
    _keep(desk, signed.envelope, version.run_id, APPROVAL)
    _write_down(
        desk,
        APPROVED if decision == "approve" else REJECTED,
        signed,
        pointer=decision_pointer(desk.model, version.digest),
        run_id=version.run_id,
        version=number,
        details={"expires": approval.expires},
    )
    return signed


def override(
    desk: Desk,
    number: int | None,
    gates: Sequence[str],
    *,
    approval: bool,
    by: str,
    reason: str,
    expires: str = "4h",
) -> Signed:
    """Let one artifact past the gates named, or past approval: `number`, or else the last trained package.

    Its bytes and its verdict's signature are proven first: these no override waives. Raises Refused,
    BadDecision, ResourceError.
    """
    digest, run_id, known = _artifact(desk, number)
    verdict = _opened(desk, run_id, digest)
    _require_known_gates(desk, verdict, gates)
    length = _duration(expires, LONGEST_OVERRIDE)
    try:
        waiver = Override(
            model=desk.model,
            digest=digest,
            gates=tuple(dict.fromkeys(gates)),
            approval=approval,
            by=by.strip(),
            reason=reason.strip(),
            at=desk.now.isoformat(timespec="seconds"),
            expires=(desk.now + length).isoformat(timespec="seconds"),
        )
    except ValidationError as error:
        raise _bad(error) from error
    signed = _signed(desk, waiver)
    _require_may(_policies(desk, verdict), verdict, signed, by, "override")
    _keep(desk, signed.envelope, run_id, OVERRIDE)
    failed = [gate.name for gate in verdict.gates if not gate.passed]
    _write_down(
        desk,
        OVERRIDDEN,
        signed,
        pointer=override_pointer(desk.model, digest),
        run_id=run_id,
        version=known,
        details={
            "expires": waiver.expires,
            "gates": list(waiver.gates),
            "approval": waiver.approval,
            "failed gates": failed,
        },
    )
    return signed


# -- what it is about -------------------------------------------------------------------------------------


def _verdict(desk: Desk, version: ModelVersion) -> Verdict:
    """The verdict of a version whose bytes and gates hold, an override counted; raises Refused."""
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        folder = desk.registry.fetch(desk.model, version.version, Path(scratch))
        _prove_bytes(folder / PACKAGE, version.digest)
        judged = _judged(desk, version)
        files = proof_files(desk.tracking, judged=judged, scratch=Path(scratch) / "proofs")
        proven = authorise_artifact(
            files.read(),
            trust_of(desk.keys),
            model=desk.model,
            digest=version.digest,
            now=desk.now,
            declared=desk.policy,
        )
    return proven.verdict


def _judged(desk: Desk, version: ModelVersion) -> str:
    """The run with the newest verdict on the version's package."""
    trained = _candidate(desk)
    return trained.run_id if trained and trained.digest == version.digest else version.run_id


def _candidate(desk: Desk) -> Candidate | None:
    text = desk.ledger.pointer(candidate_pointer(desk.model))
    return Candidate.parse(text) if text else None


def _artifact(desk: Desk, number: int | None) -> tuple[str, str, int | None]:
    """Digest, run and version (where registered) of what an override is about."""
    if number is not None:
        version = desk.registry.get(desk.model, number)
        if version is None:
            raise ResourceError(f"the registry has no version {number} of {desk.model}")
        return version.digest, _judged(desk, version), version.version
    trained = _candidate(desk)
    if trained is None:
        raise ResourceError(f"{desk.model}: nothing has been trained yet")
    same = [one.version for one in desk.registry.versions(desk.model) if one.digest == trained.digest]
    return trained.digest, trained.run_id, same[0] if same else None


def _opened(desk: Desk, run_id: str, digest: str) -> Verdict:
    """The signed verdict on an artifact whose bytes hold, whatever it says; raises Refused."""
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        _prove_bytes(desk.tracking.fetch(run_id, PACKAGE, Path(scratch)), digest)
        files = proof_files(desk.tracking, judged=run_id, scratch=Path(scratch) / "proofs")
        verdict = open_envelope(files.read().verdict, desk.keys.trusted_keys())
    if (verdict.model, verdict.digest) != (desk.model, digest):
        raise Refused(f"the verdict is about {verdict.model} {verdict.digest[:12]}, not {digest[:12]}")
    return verdict


def _prove_bytes(package: Path, digest: str) -> None:
    try:
        read_package(package, expected=digest)
    except PackageError as error:
        raise Refused(str(error)) from error


def _require_known_gates(desk: Desk, verdict: Verdict, gates: Sequence[str]) -> None:
    known = {gate.name for gate in verdict.gates} | set(desk.lane.model.gates)
    unknown = [gate for gate in gates if gate not in known]
    if unknown:
        raise BadDecision(f"there is no gate {unknown[0]!r}; a gate is one of: {', '.join(sorted(known))}")


# -- signing ----------------------------------------------------------------------------------------------


def _approval(
    desk: Desk,
    version: ModelVersion,
    decision: Literal["approve", "reject"],
    by: str,
    reason: str,
    expires: str,
) -> Approval:
    longest = parse_duration(desk.lane.model.approval.expires)
    length = _duration(expires, longest) if decision == "approve" else _NEVER
    try:
        return Approval(
            model=desk.model,
            version=version.version,
            digest=version.digest,
            decision=decision,
            by=by.strip(),
            reason=reason.strip(),
            at=desk.now.isoformat(timespec="seconds"),
            expires=(desk.now + length).isoformat(timespec="seconds"),
        )
    except ValidationError as error:
        raise _bad(error) from error


def _duration(text: str, longest: timedelta) -> timedelta:
    try:
        length = parse_duration(text) if text else longest
    except ValueError as error:
        raise BadDecision(f"expires: {error}") from error
    if length > longest:
        raise BadDecision(f"expires: {text} is longer than the {longest} that are allowed")
    return length


def _bad(error: ValidationError) -> BadDecision:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return BadDecision(f"{where}: {problem['msg']}" if where else problem["msg"])


def _signed(desk: Desk, decision: Approval | Override) -> Signed:
    """Signed by the person's own key where it is here and trusted, else by the pipeline's."""
    own = desk.keys.approver_key(decision.by) if desk.own_keys else None
    private = own or desk.keys.private_key()
    if isinstance(decision, Approval):
        envelope = seal_approval(decision, private)
    else:
        envelope = seal_override(decision, private)
    if own is None:
        return Signed(decision, envelope, None)
    for person in desk.keys.approvers():
        if identity(person.name) == identity(decision.by):
            return Signed(decision, envelope, person)
    raise Refused(
        f"the key of {decision.by} is not trusted here: mlcicd keys trust {decision.by!r} PUBLIC.pem"
    )


def _policies(desk: Desk, verdict: Verdict) -> list[ApprovalPolicy]:
    return [verdict.policy, desk.policy]


def _require_may(
    policies: Sequence[ApprovalPolicy], verdict: Verdict, signed: Signed, by: str, what: str
) -> None:
    for policy in policies:
        require_signatory(policy, signed.signer, by, what)
        require_other_eyes(policy, verdict, by, what)


# -- keeping ----------------------------------------------------------------------------------------------


def _keep(desk: Desk, envelope: bytes, run_id: str, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        file = Path(scratch) / name
        file.write_bytes(envelope)
        desk.tracking.store(run_id, file, "")


def _write_down(
    desk: Desk,
    action: str,
    signed: Signed,
    *,
    pointer: str,
    run_id: str,
    version: int | None,
    details: Mapping[str, object],
) -> None:
    """Only while retention has not begun to delete the artifact: of both, one is first in the ledger."""
    decision, known = signed.decision, envelope_id(signed.envelope)
    deleting = retention_pointer(desk.model, run_id)
    try:
        desk.ledger.move(
            pointer,
            expected=desk.ledger.pointer(pointer),
            new=known,
            action=action,
            model=desk.model,
            actor=decision.by,
            reason=decision.reason,
            version=version,
            digest=decision.digest,
            details={**details, "envelope": known, "signed by": signed.signed_by},
            holding={deleting: None},
        )
    except Conflict as conflict:
        if desk.ledger.pointer(deleting) is not None:
            raise Refused(
                f"{desk.model} {decision.digest[:12]} is being deleted by retention; train it again"
            ) from conflict
        raise
