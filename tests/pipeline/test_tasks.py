"""One class among many, and a number: from the landed file to what is served, and what must not get there."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import EVALUATION, TRAINING, Candidate
from mlcicd_assets.serving.client import describe, predict
from tests.fakes.projects import MONTHS
from tests.fakes.task_projects import CARRIERS, land, learn, shipped
from tests.pipeline.conftest import Pipeline, failures


def run_folder(pipeline: Pipeline) -> Path:
    trained = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    folder: Path = pipeline.resources["tracking"].root / trained.run_id
    return folder


def test_a_regression_goes_from_the_file_to_production(pipeline: Pipeline):
    learn(pipeline.project, "hours")
    land(pipeline.project, "hours")
    result = pipeline.materialize()
    assert result.success, failures(result)
    assert pipeline.champion() == "1"
    assert {"rmse", "r2", "beats_champion", "onnx_parity"} <= set(pipeline.checks)
    package = read_package(run_folder(pipeline) / "package")
    assert (package.signature.task, package.signature.classes, package.signature.threshold) == (
        "regression",
        [],
        None,
    )
    records = shipped(MONTHS[-1]).tail(30)
    address = pipeline.resources["serving"].status().addresses["production"]
    answer = predict(address, "returns", records, package.signature.inputs)
    assert answer.classes is None
    assert np.abs(answer.values - records["hours"].to_numpy()).mean() < 2
    assert [output["name"] for output in describe(address, "returns")["outputs"]] == ["value"]


def test_one_class_among_many_goes_from_the_file_to_production(pipeline: Pipeline):
    learn(pipeline.project, "carrier")
    land(pipeline.project, "carrier")
    result = pipeline.materialize()
    assert result.success, failures(result)
    assert pipeline.champion() == "1"
    folder = run_folder(pipeline)
    package = read_package(folder / "package")
    assert package.signature.classes == list(CARRIERS)
    evaluation = Evaluation.model_validate_json((folder / EVALUATION).read_bytes())
    assert [found.name for found in evaluation.classes] == list(CARRIERS)
    assert sum(map(sum, evaluation.matrix)) == evaluation.rows == sum(f.rows for f in evaluation.classes)
    assert evaluation.currency == "EUR"
    assert evaluation.parity.label_flips == 0
    record = TrainingRecord.model_validate_json((folder / TRAINING).read_bytes())
    assert record.imbalance == "balanced"
    assert sum(record.class_rows.values()) == record.train_rows
    records = shipped(MONTHS[-1]).tail(50)
    address = pipeline.resources["serving"].status().addresses["production"]
    answer = predict(address, "returns", records, package.signature.inputs)
    assert answer.probabilities.shape == (50, 3)
    assert (answer.labels == records["carrier"].to_numpy()).mean() > 0.6


@pytest.mark.parametrize("column", ["carrier", "hours"])
def test_a_worse_challenger_stays_out_whatever_the_task(pipeline: Pipeline, column):
    learn(pipeline.project, column)
    land(pipeline.project, column)
    assert pipeline.materialize().success
    worse = {
        "carrier": ("max_iter=30, max_leaf_nodes=7", "max_iter=1, learning_rate=0.001, max_leaf_nodes=7"),
        "hours": ("alpha=1.0", "alpha=30000.0"),
    }[column]
    pipeline.project.edit("returns/model.py", *worse)
    result = pipeline.materialize('group:"returns"', months=None)
    assert not result.success
    assert not pipeline.checks["beats_champion"].passed
    assert pipeline.champion() == "1"


def test_the_same_data_and_code_make_the_same_regression(pipeline: Pipeline):
    learn(pipeline.project, "hours")
    land(pipeline.project, "hours")
    assert pipeline.materialize().success
    again = pipeline.materialize()
    assert again.success, failures(again)
    assert len(pipeline.resources["registry"].versions("returns")) == 1


def test_a_class_that_was_never_learned_is_named_and_counts_as_wrong(pipeline: Pipeline):
    learn(pipeline.project, "carrier")
    land(pipeline.project, "carrier")
    path = pipeline.project.home / "landing" / "sales" / f"{MONTHS[-1]}.parquet"
    frame = pl.read_parquet(path)
    newest = pl.int_range(pl.len()) >= frame.height - 40
    frame.with_columns(
        pl.when(newest).then(pl.lit("drone")).otherwise(pl.col("carrier")).alias("carrier")
    ).write_parquet(path)
    pipeline.materialize()
    evaluation = Evaluation.model_validate_json((run_folder(pipeline) / EVALUATION).read_bytes())
    drone = evaluation.classes[-1]
    assert (drone.name, drone.rows, drone.recall, drone.learned) == ("drone", 40, 0.0, False)
    assert evaluation.metrics["log_loss"] is not None


def test_a_label_of_another_type_is_an_error_that_names_the_remedy(pipeline: Pipeline):
    learn(pipeline.project, "hours")
    land(pipeline.project, "hours")
    pipeline.project.edit("sales/dataset.py", "hours: float", "hours: str")
    path = pipeline.project.home / "landing" / "sales"
    for month in MONTHS:
        frame = pl.read_parquet(path / f"{month}.parquet")
        frame.with_columns(pl.col("hours").cast(pl.String)).write_parquet(path / f"{month}.parquet")
    result = pipeline.materialize('group:"sales" or group:"stores"')
    assert not result.success
    assert "'kind: number' needs a number" in failures(result) + str(
        [check.description for check in pipeline.checks.values()]
    )


def test_a_task_that_does_not_fit_the_label_is_refused_before_anything_runs(pipeline: Pipeline):
    pipeline.project.edit("returns/defs.yaml", "dataset: sales", "dataset: sales\n  task: multiclass")
    pipeline.project.edit("returns/defs.yaml", 'roc_auc: ">= 0.70", brier: "<= 0.25"', 'accuracy: ">= 0.5"')
    pipeline.project.edit("returns/defs.yaml", "metric: roc_auc", "metric: accuracy")
    with pytest.raises(ValueError, match="task: multiclass needs a label of kind classes"):
        pipeline.materialize()


def test_a_classifier_for_a_regression_is_refused_with_the_remedy(pipeline: Pipeline):
    learn(pipeline.project, "hours")
    land(pipeline.project, "hours")
    pipeline.project.edit("returns/model.py", "import Ridge", "import LogisticRegression as Ridge")
    pipeline.project.edit("returns/model.py", "Ridge(alpha=1.0)", "Ridge()")
    result = pipeline.materialize('not key:"returns/evaluation_report"+')
    assert not result.success
    assert "the model's task is regression: return a regressor" in failures(result)


def test_the_page_and_the_table_of_a_multiclass_model_tell_its_classes(pipeline: Pipeline):
    learn(pipeline.project, "carrier")
    land(pipeline.project, "carrier")
    assert pipeline.materialize('not key:"returns/registered_model"+').success
    page = (run_folder(pipeline) / "evaluation.html").read_text()
    assert ">Classes</h2>" in page
    assert all(carrier in page for carrier in CARRIERS)
    kept = json.loads((run_folder(pipeline) / EVALUATION).read_text())
    assert kept["task"] == "multiclass"
