"""What people read of a candidate: the page and the card, in its run, in the reports and in the registry."""

import re
from pathlib import Path

import dagster as dg

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.release.run_files import EVALUATION, MODEL_CARD, REPORT, Candidate
from tests.pipeline.conftest import Pipeline, failures


def run_folder(pipeline: Pipeline) -> Path:
    trained = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    return pipeline.resources["tracking"].root / trained.run_id


def shown(result: dg.ExecuteInProcessResult) -> dict[str, dg.MetadataValue]:
    return next(
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.materialization.asset_key.path[-1] == "evaluation_report"
    )


def test_page_and_card_are_kept_and_describe_the_version(pipeline: Pipeline):
    pipeline.project.land()
    pipeline.project.edit(
        "returns/defs.yaml", "  gates:", "  card: {intended_use: The returns desk.}\n  gates:"
    )
    result = pipeline.materialize()
    assert result.success, failures(result)

    page = (run_folder(pipeline) / REPORT).read_text()
    card = (run_folder(pipeline) / MODEL_CARD).read_text()
    metadata = shown(result)
    assert Path(metadata["report"].value).read_text() == page
    assert metadata["model card"].value == card
    assert "✓ Passed" in page
    assert "The returns desk." in card
    described = pipeline.resources["registry"].descriptions["returns", 1]
    assert described.startswith("# returns")
    assert "Verdict: **passed**" in described


def test_a_changed_estimator_is_told_beside_the_champion(pipeline: Pipeline):
    pipeline.project.land()
    assert pipeline.materialize().success
    pipeline.project.edit("returns/model.py", "C=1.0", "C=0.5")

    result = pipeline.materialize(
        'key:"returns/trained_model" or key:"returns/evaluation_report"', months=None
    )

    assert result.success, failures(result)
    kept = Evaluation.model_validate_json((run_folder(pipeline) / EVALUATION).read_bytes())
    assert kept.champion.training.digest == kept.champion.digest
    page = (run_folder(pipeline) / REPORT).read_text()
    told = page[page.index("What differs from the champion") :]
    assert re.search(r"<code>\w*C</code></th><td class=\"mine\">0.5</td><td class=\"theirs\">1.0</td>", told)
    assert "The features are the same." in told
    assert "The data are the same." in told
