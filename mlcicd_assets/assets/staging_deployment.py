"""`<model>/staging_deployment`: the challenger on its own address, answering as it was evaluated."""

import tempfile
import time
from pathlib import Path

import dagster as dg

from mlcicd_assets.assets.candidates import registered_candidate
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.lifecycle import mirror
from mlcicd_assets.assets.model_options import asset_options, remember_stage
from mlcicd_assets.assets.releases import first_answer, prepare, sample_answers
from mlcicd_assets.ml.catalogue import ModelLane
from mlcicd_assets.release.history import STAGED
from resources.protocols import Keys, Lake, Ledger, Records, Registry, ServingTarget, Tracking


def staging_deployment(lane: ModelLane) -> dg.AssetsDefinition:
    """Serve the challenger in staging and compare its HTTP answers with the package's own."""
    model = lane.model.name

    @dg.asset(
        **asset_options(lane, "staging_deployment", {"kserve", "envoy"}),
        description=f"The challenger of {model}, served on the staging address.",
    )
    @expected_failures()
    def _staging_deployment(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        keys: dg.ResourceParam[Keys],
        serving: dg.ResourceParam[ServingTarget],
        records: dg.ResourceParam[Records],
    ) -> dg.MaterializeResult:
        started = time.perf_counter()
        version = registered_candidate(lane, ledger, registry, tracking, keys)
        serving.start()
        with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            release = prepare(lane, registry, tracking, ledger, keys, version, "staging", Path(scratch))
            server = serving.launch(release, keys.trusted_keys())
            first = first_answer(lane, lake, release, server.address)
            before = [other for other in serving.routes("staging", model) if other != version.version]
            serving.route("staging", model, {version.version: 100})
            for other in before:
                serving.retire("staging", model, other)
            address = serving.status().addresses["staging"]
            answers = sample_answers(lane, lake, release, address)
        ledger.append(
            STAGED,
            model,
            actor=f"run {context.run_id}",
            version=version.version,
            digest=version.digest,
            details={"address": address, "first_answer_ms": first},
        )
        mirror(ledger, registry, model, f"run {context.run_id}")
        remember_stage(context, records, lane, "staging_deployment", version.digest, started)
        return dg.MaterializeResult(
            metadata={
                "version": version.version,
                "address": dg.MetadataValue.url(f"{address}/v2/models/{model}"),
                "server": server.address,
                "rows compared": answers.rows,
                "largest difference": answers.difference,
                "first answer (ms)": "none in time" if first is None else first,
            },
            data_version=dg.DataVersion(version.digest),
        )

    return _staging_deployment
