"""The blocking tests of a challenger on its staging address."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl

from mlcicd_assets.assets.candidates import candidate, registered_candidate
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.holdouts import holdout_sample
from mlcicd_assets.assets.staging_tests import first_answer_of, record_staging
from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import HOLDOUT, PACKAGE, TRAINING
from mlcicd_assets.serving.acceptance import CHECKS, Finding, Staged, accept
from resources.protocols import (
    Keys,
    Lake,
    Ledger,
    ModelVersion,
    Registry,
    ResourceError,
    ServingTarget,
    Tracking,
)


def staging_tests(lane: ModelLane) -> dg.AssetChecksDefinition:
    """All of them in one step; what they said is in the ledger before any of them is shown."""
    model = lane.model.name
    key = dg.AssetKey([model, "staging_deployment"])
    specs = [
        dg.AssetCheckSpec(name, asset=key, blocking=True, description=promise)
        for name, promise in CHECKS.items()
    ]

    @dg.multi_asset_check(name=f"{model}__staging_tests", specs=specs)
    def _staging_tests(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
        serving: dg.ResourceParam[ServingTarget],
    ) -> Iterator[dg.AssetCheckResult]:
        with expected_failures(), tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            version = registered_candidate(lane, ledger, registry, tracking, keys)
            staged = _staged(lane, lake, tracking, ledger, serving, version, Path(scratch))
            findings = accept(staged)
        record_staging(ledger, version, f"run {context.run.run_id}", findings)
        for finding in findings:
            yield _shown(key, finding)

    return _staging_tests


def _staged(
    lane: ModelLane,
    lake: Lake,
    tracking: Tracking,
    ledger: Ledger,
    serving: ServingTarget,
    version: ModelVersion,
    folder: Path,
) -> Staged:
    run_id = candidate(ledger, lane.model.name).run_id
    package = read_package(tracking.fetch(run_id, PACKAGE, folder), expected=version.digest)
    record = TrainingRecord.model_validate_json(tracking.fetch(run_id, TRAINING, folder).read_bytes())
    holdout = pl.read_parquet(tracking.fetch(run_id, HOLDOUT, folder))
    status = serving.status()
    servers = [
        server
        for server in status.servers
        if (server.environment, server.model, server.version) == ("staging", version.model, version.version)
        and server.digest == version.digest
    ]
    if not servers:
        raise ResourceError(
            f"{version.model}: version {version.version} is not in staging; "
            f"materialize {version.model}/staging_deployment first"
        )
    return Staged(
        address=status.addresses["staging"],
        server=servers[0].address,
        version=version.version,
        scorer=Scorer.load(package),
        declared=lane.model.serving,
        sample=holdout_sample(lane, lake, package, record, holdout),
        p99=lane.model.gates.get("latency_p99_ms", ""),
        first_answer_ms=first_answer_of(ledger, version),
    )


def _shown(key: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    table = [dg.TableRecord(dict(row)) for row in finding.rows]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.check,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=finding.said,
        metadata={"results": dg.MetadataValue.table(table)} if table else {},
    )
