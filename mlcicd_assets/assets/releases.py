"""What staging and production do alike: fetch and prove a version, and compare its answers over HTTP."""

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from mlcicd_assets.assets.candidates import candidate, prove
from mlcicd_assets.assets.proofs import proof_files, release_of
from mlcicd_assets.ml.artifact.package import PackageError, read_package
from mlcicd_assets.ml.artifact.parity import compare_scores
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.run_files import PACKAGE
from mlcicd_assets.serving.client import predict
from mlcicd_assets.serving.examination import first_answer_ms, single_requests, target_of
from resources.protocols import Environment, Keys, Lake, Ledger, ModelVersion, Registry, Release, Tracking

# JSON carries float32 scores without loss; what differs comes from the server's own arithmetic.
TOLERANCE = 1e-6
SAMPLE = 20


@dataclass(frozen=True)
class Answers:
    """How far the server's answers were from the package's own."""

    rows: int
    difference: float  # largest absolute difference of a probability
    version: str  # that answered


def prepare(
    lane: ModelLane,
    registry: Registry,
    tracking: Tracking,
    ledger: Ledger,
    keys: Keys,
    version: ModelVersion,
    environment: Environment,
    scratch: Path,
) -> Release:
    """Fetch a version's package and proofs and verify them; raises Failure with the reason."""
    folder = registry.fetch(lane.model.name, version.version, scratch)
    try:
        package = read_package(folder / PACKAGE, expected=version.digest)
    except PackageError as error:
        raise dg.Failure(f"{lane.model.name}: refused: {error}", allow_retries=False) from error
    # The newest verdict on this package; the registry keeps the one it was first registered with.
    newest = candidate(ledger, lane.model.name)
    files = proof_files(tracking, judged=newest.run_id, registered=version.run_id, scratch=scratch / "proofs")
    prove(lane, keys, files, package.digest)
    return release_of(lane, keys, version, folder, files, environment)


def first_answer(lane: ModelLane, lake: Lake, release: Release, address: str) -> float | None:
    """Warm a server with a real record before it has traffic; milliseconds, None when it took too long."""
    scorer = Scorer.load(release.package, expected=release.digest)
    rows = lake.scan(lane.data.table("validated_data")).tail(1).collect()
    target = target_of(address, scorer, lane.model.serving)
    return first_answer_ms(target, single_requests(rows, scorer)[0])


def sample_answers(lane: ModelLane, lake: Lake, release: Release, address: str) -> Answers:
    """Send real records through the proxy; raises Failure when an answer is not the package's own."""
    scorer = Scorer.load(release.package, expected=release.digest)
    rows = lake.scan(lane.data.table("validated_data")).tail(SAMPLE).collect()
    expected = scorer.predict(rows)
    answer = predict(address, release.model, rows, scorer.inputs)
    difference = compare_scores(answer.scores, expected.scores).max_difference
    if answer.version != str(release.version) or not difference <= TOLERANCE:  # NaN is no agreement
        raise dg.Failure(
            f"{release.model}: version {answer.version} answered {difference:.3g} away from the evaluated "
            f"package (version {release.version}); it stays out of production",
            allow_retries=False,
        )
    return Answers(rows.height, difference, answer.version)
