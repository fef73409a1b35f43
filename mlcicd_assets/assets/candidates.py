"""Finding a model's candidate and champion, the same way for every stage that needs them.

The ledger's pointers are the truth: `candidate/<model>` is the last training run with its digest,
`champion/<model>` the version that serves.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from mlcicd_assets.assets.proofs import ProofFiles, declared_policy, proof_files, trust_of
from mlcicd_assets.ml.artifact.package import PackageError, read_package
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.authorisation import Authorised, authorise_artifact
from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.run_files import PACKAGE, Candidate, candidate_pointer, champion_pointer
from resources.protocols import Keys, Ledger, ModelVersion, Registry, ResourceError, Tracking


def candidate(ledger: Ledger, model: str) -> Candidate:
    """The last trained package; raises Failure when nothing has been trained."""
    text = ledger.pointer(candidate_pointer(model))
    if text is None:
        raise dg.Failure(
            f"{model}: nothing has been trained yet; materialize {model}/trained_model first",
            allow_retries=False,
        )
    return Candidate.parse(text)


def champion(ledger: Ledger, registry: Registry, model: str) -> ModelVersion | None:
    """The version that serves, or None before the first release; raises ResourceError when it is gone."""
    version = ledger.pointer(champion_pointer(model))
    if version is None:
        return None
    found = registry.get(model, int(version))
    if found is None:
        raise ResourceError(
            f"{model}: the ledger names version {version} champion, but the registry has no such version; "
            "restore the registry before releasing anything"
        )
    return found


def required_gates(lane: ModelLane) -> dict[str, str]:
    """The gates that a verdict must hold, as declared now: name -> bound."""
    from mlcicd_assets.ml.evaluation.gates import required

    return required(lane.model, lane.code_checks)


def prove(lane: ModelLane, keys: Keys, files: ProofFiles, digest: str) -> Authorised:
    """Verify a verdict for exactly this digest and today's gates; raises Failure with the reason.

    A gate that a proven override names may have failed; then the answer says so.
    """
    try:
        return authorise_artifact(
            files.read(),
            trust_of(keys),
            model=lane.model.name,
            digest=digest,
            now=datetime.now(UTC),
            required_gates=required_gates(lane),
            declared=declared_policy(lane),
        )
    except Refused as refused:
        raise dg.Failure(str(refused), allow_retries=False) from refused


def prove_run(
    lane: ModelLane, tracking: Tracking, keys: Keys, trained: Candidate, scratch: Path
) -> Authorised:
    """Fetch a run's package and proofs and verify them for its digest; raises Failure."""
    try:
        package = read_package(tracking.fetch(trained.run_id, PACKAGE, scratch), expected=trained.digest)
    except PackageError as error:
        raise dg.Failure(f"{lane.model.name}: refused: {error}", allow_retries=False) from error
    files = proof_files(tracking, judged=trained.run_id, scratch=scratch)
    if files.verdict is None:
        raise dg.Failure(
            f"{lane.model.name}: refused: there is no verdict for {trained.digest[:12]}. "
            f"Materialize {lane.model.name}/evaluation_report first.",
            allow_retries=False,
        )
    return prove(lane, keys, files, package.digest)


def registered_candidate(
    lane: ModelLane, ledger: Ledger, registry: Registry, tracking: Tracking, keys: Keys
) -> ModelVersion:
    """The registered version of the last trained package; raises Failure saying why there is none.

    Never an older version: whoever deploys means what was trained last, and must learn that it was refused.
    """
    trained = candidate(ledger, lane.model.name)
    # By this run's own verdict: the same package may have passed earlier, on another holdout.
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        prove_run(lane, tracking, keys, trained, Path(scratch))
    for version in registry.versions(lane.model.name):
        if version.digest == trained.digest:
            return version
    raise dg.Failure(
        f"{lane.model.name}: the last trained package ({trained.digest[:12]}) is proven but not registered; "
        f"materialize {lane.model.name}/registered_model first",
        allow_retries=False,
    )
