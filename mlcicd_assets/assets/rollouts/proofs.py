"""Fetching a version for production with its proofs, and proving all of it, whoever drives the rollout."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.assets.proofs import proof_files, release_of, trust_of
from mlcicd_assets.ml.artifact.package import PackageError, read_package
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.authorisation import authorise_production
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.rollout import Target
from mlcicd_assets.release.run_files import PACKAGE
from resources.protocols import Release, ResourceError

if TYPE_CHECKING:
    from mlcicd_assets.assets.rollouts.actions import World


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
    judged = target.run or version.run_id
    files = proof_files(world.tracking, judged=judged, registered=version.run_id, scratch=scratch / "proofs")
    authorise_production(
        files.read(),
        trust_of(world.keys),
        model=model,
        digest=target.digest,
        version=target.version,
        now=datetime.fromisoformat(at),
    )
    return release_of(lane, world.keys, version, folder, files, "production", authorised_at=at)


def compared_answers(lane: ModelLane, world: "World", release: Release, address: str) -> None:
    """Compare what a launched version answers to real records over HTTP with its package's own scores.

    Raises Refused where they differ, ResourceError where it could not be asked.
    """
    import dagster as dg  # with what the assets share; a rollout that is past its launch needs neither

    from mlcicd_assets.assets.releases import sample_answers
    from mlcicd_assets.serving.client import ServingError

    if world.lake is None:
        raise ResourceError(f"{release.model}: there is no lake to take records from here")
    try:
        sample_answers(lane, world.lake, release, address)
    except dg.Failure as failure:
        raise Refused(str(failure.description)) from failure
    except ServingError as error:
        raise ResourceError(str(error)) from error
