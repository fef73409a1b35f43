"""The signed verdict: what all gates of one model said about one exact artifact.

Registration, the deployer and the model server call the same `authorise`, so that a failed gate stands
across runs, hands and restarts.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlcicd_assets.release.envelope import Refused, open_statement, seal_statement

PREDICATE_TYPE = "https://github.com/mlcicd/mlcicd-assets/verdict/v1"

# What a verdict says of the code where no code base is declared.
NOTHING_ASKED = "no code base is declared: nothing was asked of the code"

_BOUND = re.compile(r"^\s*([<>]=?)\s*(\S+)\s*$")


def _single_line(value: str) -> str:
    if any(ord(character) < 32 for character in value):
        raise ValueError("must be one line of text")
    return value


# Hex SHA-256 of the package's manifest.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Line = Annotated[str, AfterValidator(_single_line)]


class Proof(BaseModel):
    """Closed and frozen: an unknown field in a proof is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Gate(Proof):
    """One gate's result. A value that is no number is kept as None, and never passes."""

    name: Line = Field(min_length=1)
    value: float | None
    bound: Line
    passed: bool
    message: str = ""

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, data: Any) -> Any:
        value = data.get("value") if isinstance(data, Mapping) else None
        if isinstance(value, float) and not math.isfinite(value):
            if data.get("passed"):
                raise ValueError(f"a gate cannot pass with the value {value}")
            return {**data, "value": None}
        return data


class DataVersion(Proof):
    """One partition of a table as the model learned from it."""

    table: Line
    partition: Line | None
    version: int
    content: Line


class Holdout(Proof):
    """The window on which the gates were measured: ISO times, start inclusive, end exclusive."""

    start: Line
    end: Line
    rows: int = Field(ge=0)
    data: tuple[
        DataVersion, ...
    ] = ()  # the features that were read; empty in verdicts from before it was kept
    known_at: Line = ""  # labels that became known until then counted


class ChampionVersion(Proof):
    """The champion that the artifact was compared with."""

    version: int
    digest: Digest


class ApprovalPolicy(Proof):
    """Which person must agree before production."""

    required: bool
    four_eyes: bool = False  # not the author of the commit
    approvers: tuple[Line, ...] = ()  # people and teams with keys of their own; anybody when empty


class Verdict(Proof):
    """All gates' results for one artifact, and what it was made of."""

    model: Line = Field(min_length=1)
    digest: Digest
    gates: tuple[Gate, ...]
    risk: Literal["low", "medium", "high"]
    data: tuple[DataVersion, ...]
    commit: Line
    dirty: bool
    holdout: Holdout
    champion: ChampionVersion | None
    run_id: Line
    issued_at: Line = Field(description="ISO 8601, UTC; the caller's clock.")
    author: Line = ""  # of the commit; empty in verdicts from before it was kept
    approval: ApprovalPolicy | None = None  # None in verdicts from before it could be declared
    code: Line = ""  # the code it was trained from and what that had passed; empty in verdicts from before

    @property
    def passed(self) -> bool:
        """Whether there is at least one gate and all of them passed."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    @property
    def policy(self) -> ApprovalPolicy:
        """What was declared when it was signed; a high risk asks for a person, whatever else it says."""
        declared = self.approval or ApprovalPolicy(required=False)
        return declared.model_copy(update={"required": declared.required or self.risk == "high"})


def seal(verdict: Verdict, private_key_pem: bytes) -> bytes:
    """Sign the verdict, passed or not; returns the DSSE envelope (JSON)."""
    predicate = verdict.model_dump(mode="json", exclude={"model", "digest"})
    predicate["passed"] = verdict.passed
    return seal_statement(PREDICATE_TYPE, verdict.model, verdict.digest, predicate, private_key_pem)


def open_envelope(envelope: bytes | None, trusted_keys: Sequence[bytes]) -> Verdict:
    """Prove the signature and read the verdict, passed or not; raises Refused."""
    sealed = open_statement(envelope, trusted_keys, PREDICATE_TYPE)
    passed = sealed.predicate.pop("passed", None)
    try:
        verdict = Verdict.model_validate({**sealed.predicate, "model": sealed.model, "digest": sealed.digest})
    except ValidationError as error:
        raise Refused(f"the verdict is not complete: {_plain(error)}") from error
    if passed is not verdict.passed:
        raise Refused("the verdict contradicts its own gates")
    return verdict


def authorise(
    envelope: bytes | None,
    trusted_keys: Sequence[bytes],
    *,
    model: str,
    digest: str,
    required_gates: Mapping[str, str] | None = None,
    waived: Collection[str] = (),
) -> Verdict:
    """The one decision whether an artifact may go on; returns its verdict or raises Refused.

    `required_gates` (name: bound) are the gates as declared now, where the caller knows the declaration:
    each must be in the verdict with the same bound. `waived` are the gates that a proven override names:
    nothing but these may have failed, and neither signature nor digest can be waived.
    """
    try:
        verdict = open_envelope(envelope, trusted_keys)
        _about(verdict, model, digest)
        _passed(verdict, waived)
        _complete(verdict, required_gates or {}, waived)
    except Refused as refused:
        raise Refused(
            f"{model} {digest[:12]} is refused: {refused}. "
            f"Materialize {model}/evaluation_report for this artifact."
        ) from refused
    return verdict


def _about(verdict: Verdict, model: str, digest: str) -> None:
    if verdict.model != model:
        raise Refused(f"the verdict is about the model {verdict.model!r}")
    if verdict.digest != digest:
        raise Refused(f"the verdict is about another artifact, {verdict.digest[:12]}")


def _passed(verdict: Verdict, waived: Collection[str]) -> None:
    if not verdict.gates:
        raise Refused("the verdict has no gates")
    failed = [
        f"gate {gate.name!r} failed: value {'missing' if gate.value is None else f'{gate.value:g}'}, "
        f"bound {gate.bound}" + (f" ({gate.message})" if gate.message else "")
        for gate in verdict.gates
        if not gate.passed and gate.name not in waived
    ]
    if failed:
        raise Refused("; ".join(failed))


def _complete(verdict: Verdict, required: Mapping[str, str], waived: Collection[str]) -> None:
    judged = {gate.name: gate.bound for gate in verdict.gates}
    for name, bound in required.items():
        if name in waived:
            continue
        if name not in judged:
            raise Refused(f"gate {name!r} is declared ({bound}) but the verdict does not have it")
        if _normal(judged[name]) != _normal(bound):
            raise Refused(f"gate {name!r} was judged by {judged[name]}, but {bound} is declared")


def _normal(bound: str) -> tuple[str, float] | str:
    """`>=0.80` and `>= 0.8` are the same bound."""
    found = _BOUND.match(bound)
    try:
        return (found[1], float(found[2])) if found else bound.strip()
    except ValueError:
        return bound.strip()


def _plain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'verdict'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    )
