"""`<model>/registered_model`: a version in the registry, for a package whose verdict says yes."""

import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg

from mlcicd_assets.assets.candidates import candidate, prove_run
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.holdouts import require_fresh
from mlcicd_assets.assets.lifecycle import mirror, standing_of
from mlcicd_assets.assets.model_options import asset_options, remember_stage
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.authorisation import Authorised
from mlcicd_assets.release.run_files import MODEL_CARD
from mlcicd_assets.release.verdict import Verdict
from mlcicd_assets.reports.model_card import first_lines
from resources.protocols import Keys, Lake, Ledger, ModelVersion, Records, Registry, Tracking


def registered_model(lane: ModelLane) -> dg.AssetsDefinition:
    """Register the candidate as `challenger`; refuses without a passing, signed verdict for its digest."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "registered_model", {"mlflow"}),
        description=f"The version of {model} that wants to serve, with the proof that it may.",
    )
    @expected_failures()
    def _registered_model(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
        records: dg.ResourceParam[Records],
    ) -> dg.MaterializeResult:
        started = time.perf_counter()
        trained = candidate(ledger, model)
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            proven = prove_run(lane, tracking, keys, trained, Path(scratch))
            about = _about(tracking, trained.run_id, Path(scratch))
        verdict = proven.verdict
        require_fresh(lane, lake, verdict)
        version = registry.register(
            model, trained.digest, trained.run_id, _lineage(lane, verdict), about=about
        )
        actor = f"run {context.run_id}"
        mirror(ledger, registry, model, actor)
        stands = standing_of(ledger, model)
        if version.version not in {stands.challenger, stands.champion}:
            ledger.append(
                "registered",
                model,
                actor=actor,
                version=version.version,
                digest=version.digest,
                reason=_why(proven),
                details={"run": trained.run_id},
            )
            mirror(ledger, registry, model, actor)
        remember_stage(context, records, lane, "registered_model", version.digest, started)
        return dg.MaterializeResult(
            metadata={
                **_shown(version, verdict, tracking.url(trained.run_id)),
                **({"override": _why(proven)} if proven.override else {}),
            },
            data_version=dg.DataVersion(trained.digest),
        )

    return _registered_model


def _about(tracking: Tracking, run_id: str, scratch: Path) -> str:
    """The first lines of the model card; empty where the evaluation is from before there was one."""
    if not tracking.has(run_id, MODEL_CARD):
        return ""
    return first_lines(tracking.fetch(run_id, MODEL_CARD, scratch).read_text(encoding="utf-8"))


def _why(proven: Authorised) -> str:
    if proven.override is None:
        return f"{len(proven.verdict.gates)} gates passed"
    return f"OVERRIDE of {proven.override.waived} by {proven.override.by}: {proven.override.reason}"


def _lineage(lane: ModelLane, verdict: Verdict) -> dict[str, str]:
    tables = {used.table: used.version for used in verdict.data}
    partitions = [used.partition for used in verdict.data if used.partition]
    return {
        "commit": verdict.commit + (" (dirty)" if verdict.dirty else ""),
        "risk": lane.model.risk,
        "owner": lane.model.owner,
        "lifecycle": "development",
        "verdict": "passed" if verdict.passed else "overridden",
        "holdout": f"{verdict.holdout.start} to {verdict.holdout.end}",
        **{f"data.{table}": f"version {version}" for table, version in tables.items()},
        **({"data.partitions": f"{partitions[0]} to {partitions[-1]}"} if partitions else {}),
    }


def _shown(version: ModelVersion, verdict: Verdict, url: str) -> dict[str, Any]:
    gates = [
        dg.TableRecord(
            {"gate": gate.name, "value": gate.value if gate.value is not None else "", "bound": gate.bound}
        )
        for gate in verdict.gates
    ]
    return {
        "version": version.version,
        "digest": version.digest,
        "signed gates": dg.MetadataValue.table(gates),
        "commit": verdict.commit,
        "run": dg.MetadataValue.url(url) if url.startswith("http") else url,
    }
