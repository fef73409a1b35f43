"""A training that does not give the same model again stays out."""

import json
from pathlib import Path

import pytest

from mlcicd_assets.assets.reproduction import ReproductionError, recorded_material, repeat, retrain
from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.catalogue import load_all
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import EVALUATION, HOLDOUT, PACKAGE, TRAINING, Candidate
from tests.pipeline.conftest import Pipeline, failures

CHANCE = "C=1.0 + __import__('os').urandom(1)[0] / 256 + __import__('time').perf_counter() % 1"
TRAINED = 'group:"sales" or group:"stores" or key:"returns/trained_model" or key:"returns/evaluation_report"'


def evaluation(pipeline: Pipeline, folder: Path) -> dict:
    found = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    return json.loads(pipeline.resources["tracking"].fetch(found.run_id, EVALUATION, folder).read_bytes())


def test_a_training_that_depends_on_chance_is_blocked(pipeline: Pipeline, tmp_path: Path):
    pipeline.project.land()
    pipeline.project.edit("returns/model.py", "C=1.0", CHANCE)

    result = pipeline.materialize(TRAINED)

    assert not pipeline.checks["reproducible"].passed
    assert "another package" in pipeline.checks["reproducible"].description
    assert pipeline.champion() is None
    again = evaluation(pipeline, tmp_path)["reproducibility"]
    assert again["digest"] != again["again"]
    assert again["files"] == ["model.onnx"]
    assert (
        not result.success or not pipeline.materialize('key:"returns/registered_model"', months=None).success
    )


@pytest.mark.parametrize(
    ("rule", "passed", "sampled"),
    [("sample: 300", True, True), ("tolerance: 1.0", True, False)],
    ids=["on a sample", "within a tolerance"],
)
def test_a_sample_or_a_tolerance_may_be_declared(
    pipeline: Pipeline, tmp_path: Path, rule: str, passed: bool, sampled: bool
):
    pipeline.project.land()
    pipeline.project.edit("returns/defs.yaml", "  train: 80d", f"  train: 80d\n  reproducible: {{{rule}}}")
    if not sampled:
        pipeline.project.edit("returns/model.py", "C=1.0", CHANCE)

    pipeline.materialize(TRAINED)

    assert pipeline.checks["reproducible"].passed is passed
    assert evaluation(pipeline, tmp_path)["reproducibility"]["sampled"] is sampled


def test_an_earlier_training_is_repeated_on_the_data_that_it_read(pipeline: Pipeline, tmp_path: Path):
    pipeline.project.land()
    result = pipeline.materialize(TRAINED)
    assert result.success, failures(result)
    tracking, lake = pipeline.resources["tracking"], pipeline.resources["lake"]
    found = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    record = tracking.fetch(found.run_id, TRAINING, tmp_path)
    pipeline.project.land(seed=1)  # every partition is another one now
    assert pipeline.materialize('group:"sales" or group:"stores"').success
    lane = load_all(pipeline.project.defs).models["returns"]

    retrain(lane, lake, record, tmp_path / "again")

    assert read_package(tmp_path / "again" / PACKAGE).digest == found.digest
    assert (tmp_path / "again" / HOLDOUT).is_file()
    read = TrainingRecord.model_validate_json(record.read_bytes())
    gone = read.model_copy(update={"tables": dict.fromkeys(read.tables, 99)})
    with pytest.raises(ReproductionError, match="cannot be read any more"):
        recorded_material(lane, lake, gone)
    assert repeat(lane, lake, read, tmp_path / "third").package.digest == found.digest
