"""Fetching a version or a run with its proofs, and proving it as registration, deployer and server do."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.release.approval import needed
from mlcicd_assets.release.authorisation import (
    Authorised,
    Proofs,
    authorise_artifact,
    authorise_production,
)
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.run_files import (
    APPROVAL,
    OVERRIDE,
    PACKAGE,
    VERDICT,
    Candidate,
    candidate_pointer,
    champion_pointer,
)
from mlcicd_assets.release.signatories import Trust
from mlcicd_assets.release.verdict import Verdict, open_envelope
from resources.protocols import Ledger, ModelVersion

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session
    from mlcicd_assets.ml.artifact.package import Package
    from mlcicd_assets.ml.catalogue import ModelLane


@dataclass(frozen=True)
class Fetched:
    """A version's package and proofs in a local folder, not yet proven."""

    version: ModelVersion
    folder: Path
    verdict: bytes
    approval: bytes | None
    override: bytes | None = None

    @property
    def proofs(self) -> Proofs:
        """As they are proven."""
        return Proofs(self.verdict, self.approval, self.override)

    @property
    def package(self) -> Path:
        """The package folder."""
        return self.folder / PACKAGE


@contextmanager
def fetched(session: "Session", version: ModelVersion) -> Iterator[Fetched]:
    """Bring a version's package, verdict and approval here for a moment."""
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        folder = session.registry.fetch(version.model, version.version, Path(scratch))
        verdict = folder / VERDICT
        yield Fetched(
            version=version,
            folder=folder,
            verdict=verdict.read_bytes() if verdict.is_file() else b"",
            approval=run_file(session, version.run_id, APPROVAL, folder),
            override=run_file(session, version.run_id, OVERRIDE, folder),
        )


def run_file(session: "Session", run_id: str, name: str, scratch: Path) -> bytes | None:
    """A file that a run keeps; None where it has none."""
    if not session.tracking.has(run_id, name):
        return None
    return session.tracking.fetch(run_id, name, scratch).read_bytes()


def prove_package(found: Fetched) -> "Package":
    """Recompute the digest from the files; raises Refused."""
    from mlcicd_assets.ml.artifact.package import PackageError, read_package

    try:
        return read_package(found.package, expected=found.version.digest)
    except PackageError as error:
        raise Refused(str(error)) from error


def trust(session: "Session") -> Trust:
    """The pipeline's keys and the people's, as they are trusted now."""
    return Trust(session.keys.trusted_keys(), session.keys.approvers())


def prove_verdict(
    session: "Session", found: Fetched, *, gates: Mapping[str, str] | None = None, at: datetime | None = None
) -> Verdict:
    """Verify the signature and that all gates passed, `gates` (name: bound) among them; raises Refused.

    A gate may have failed that an override waived, as it was valid at the moment `at` (now by default).
    """
    return authorise_artifact(
        found.proofs,
        trust(session),
        model=found.version.model,
        digest=found.version.digest,
        now=at or session.now(),
        required_gates=gates,
    ).verdict


def todays_gates(lane: "ModelLane") -> dict[str, str]:
    """The gates that a verdict must hold as declared now: name -> bound."""
    from mlcicd_assets.ml.evaluation.gates import required

    return required(lane.model, lane.code_checks)


def prove_production(session: "Session", found: Fetched, at: datetime) -> Authorised:
    """Verify all that production asks for, as it had to be valid at a moment; raises Refused."""
    return authorise_production(
        found.proofs,
        trust(session),
        model=found.version.model,
        digest=found.version.digest,
        version=found.version.version,
        now=at,
    )


def awaits_person(verdict: Verdict) -> bool:
    """Whether a person must decide before production."""
    return needed(verdict)


def signer(envelope: bytes) -> str:
    """The id of the key that signed an envelope that has been proven."""
    signatures = json.loads(envelope)["signatures"]
    return str(signatures[0]["keyid"])


def candidate(ledger: Ledger, model: str) -> Candidate | None:
    """The last trained package, or None."""
    text = ledger.pointer(candidate_pointer(model))
    return None if text is None else Candidate.parse(text)


def champion_version(ledger: Ledger, model: str) -> int | None:
    """The version that the ledger calls champion, or None before the first release."""
    text = ledger.pointer(champion_pointer(model))
    return None if text is None else int(text)


def read_verdict(session: "Session", run_id: str) -> Verdict | None:
    """A run's verdict, passed or not; None before it was evaluated. Raises Refused on a bad signature."""
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        envelope = run_file(session, run_id, VERDICT, Path(scratch))
    return None if envelope is None else open_envelope(envelope, session.keys.trusted_keys())
