"""The signed files that lie beside a version, and who is trusted: what every door asks with."""

from dataclasses import dataclass
from pathlib import Path

from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.authorisation import Proofs
from mlcicd_assets.release.run_files import APPROVAL, OVERRIDE, PACKAGE, VERDICT
from mlcicd_assets.release.signatories import Trust
from mlcicd_assets.release.verdict import ApprovalPolicy
from mlcicd_assets.serving.examination import settings_of
from resources.protocols import Environment, Keys, ModelVersion, Release, Tracking


@dataclass(frozen=True)
class ProofFiles:
    """Where the envelopes are; None where a run has none."""

    verdict: Path | None
    approval: Path | None
    override: Path | None

    def read(self) -> Proofs:
        """As they are proven."""
        return Proofs(*(path.read_bytes() if path else None for path in self._paths))

    @property
    def _paths(self) -> tuple[Path | None, Path | None, Path | None]:
        return self.verdict, self.approval, self.override


def trust_of(keys: Keys) -> Trust:
    """The pipeline's keys and the people's, as they are trusted now."""
    return Trust(keys.trusted_keys(), keys.approvers())


def declared_policy(lane: ModelLane) -> ApprovalPolicy:
    """Who must agree before production, as declared now."""
    rule = lane.model.approval
    return ApprovalPolicy(
        required=lane.model.approval_needed, four_eyes=rule.four_eyes, approvers=tuple(rule.approvers)
    )


def proof_files(
    tracking: Tracking, *, judged: str, scratch: Path, registered: str | None = None
) -> ProofFiles:
    """Fetch verdict and override of the run that was judged, and the approval of the run that was registered.

    Both are one run, unless the same package was trained again after it had been registered.
    """
    return ProofFiles(
        verdict=_kept(tracking, judged, VERDICT, scratch / "judged"),
        approval=_kept(tracking, registered or judged, APPROVAL, scratch / "registered"),
        override=_kept(tracking, judged, OVERRIDE, scratch / "judged"),
    )


def release_of(
    lane: ModelLane,
    keys: Keys,
    version: ModelVersion,
    folder: Path,
    files: ProofFiles,
    environment: Environment,
    *,
    authorised_at: str = "",
) -> Release:
    """What a server is started from, whoever starts it: a fetched version, its proofs, the declared settings.

    The only place where a release is put together: staging, production, rollback and repair serve alike.
    """
    return Release(
        model=lane.model.name,
        version=version.version,
        digest=version.digest,
        package=folder / PACKAGE,
        verdict=files.verdict or folder / VERDICT,
        environment=environment,
        approval=files.approval,
        override=files.override,
        approvers=tuple(keys.approvers()),
        authorised_at=authorised_at,
        settings=settings_of(lane.model, lane.data.dataset),
    )


def _kept(tracking: Tracking, run_id: str, name: str, into: Path) -> Path | None:
    return tracking.fetch(run_id, name, into) if tracking.has(run_id, name) else None
