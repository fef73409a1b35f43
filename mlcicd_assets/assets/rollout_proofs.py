"""Fetching a version for production with its proofs, and proving all of it, whoever drives the rollout."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.ml.artifact.package import PackageError, read_package
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.approval import authorise_approval
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import Target
from mlcicd_assets.release.run_files import APPROVAL, PACKAGE, VERDICT
from mlcicd_assets.release.verdict import authorise
from resources.protocols import Release, ResourceError

if TYPE_CHECKING:
    from mlcicd_assets.assets.rollout_actions import World


def proven_release(lane: ModelLane, world: "World", target: Target, at: str, scratch: Path) -> Release:
    """Package by its digest, verdict, and the approval as it had to be valid at a moment; raises Refused.

    By the gates that it was judged by: a bound that was raised since takes nothing out of production. Whether
    today's gates hold is asked where a release begins.
    """
    model = lane.model.name
    version = world.registry.get(model, target.version)
    if version is None or version.digest != target.digest:
        raise ResourceError(f"{model}: the registry has no version {target.version} of {target.digest[:12]}")
    folder = world.registry.fetch(model, target.version, scratch)
    try:
        read_package(folder / PACKAGE, expected=target.digest)
    except PackageError as error:
        raise Refused(f"{model}: refused: {error}") from error
    verdict = folder / VERDICT
    if target.run and target.run != version.run_id:
        verdict = world.tracking.fetch(target.run, VERDICT, scratch / "newest")
    trusted = world.keys.trusted_keys()
    proven = authorise(
        verdict.read_bytes() if verdict.is_file() else None, trusted, model=model, digest=target.digest
    )
    approval = None
    if world.tracking.has(version.run_id, APPROVAL):
        approval = world.tracking.fetch(version.run_id, APPROVAL, scratch)
    authorise_approval(
        approval.read_bytes() if approval else None,
        trusted,
        verdict=proven,
        version=target.version,
        now=datetime.fromisoformat(at),
    )
    return Release(
        model=model,
        version=target.version,
        digest=target.digest,
        package=folder / PACKAGE,
        verdict=verdict,
        environment="production",
        approval=approval,
    )
