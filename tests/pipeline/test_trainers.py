"""Networks, tuning and the fallback, from the features to a candidate that answers."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import read_package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.release.run_files import Candidate
from resources.studies import OptunaStudies
from tests.fakes.projects import sales
from tests.pipeline.conftest import Pipeline, failures

UP_TO_TRAINING = 'group:"sales" or group:"stores" or key:"returns/trained_model"'
TRAINING = 'key:"returns/trained_model"'

_NETWORK = """
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from mlcicd_assets.ml.training.torch_models import neural_classifier


class Layers(nn.Module):
    def __init__(self, inputs, outputs, hidden=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, x):
        return self.layers(x)


def estimator():
    network = neural_classifier(Layers, epochs=4, batch_size=256, learning_rate=0.01)
    return make_pipeline(SimpleImputer(), StandardScaler(), network)
"""
_TUNED = """
from sklearn.ensemble import HistGradientBoostingClassifier


def estimator():
    return HistGradientBoostingClassifier(max_iter=10, early_stopping=False)


def search_space(trial):
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 2, 16),
    }
"""
_TUNE = "  tune: {search: model.py:search_space, trials: 6, batch: 2, folds: 2, jobs: 1}\n"
_FALLBACK = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def estimator():
    return make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression())
"""


def write_model(pipeline: Pipeline, source: str, declared: str = "") -> None:
    (pipeline.project.defs / "returns" / "model.py").write_text(source)
    path = pipeline.project.defs / "returns" / "defs.yaml"
    path.write_text(path.read_text() + declared)


def candidate(pipeline: Pipeline) -> tuple[Candidate, Path]:
    found = Candidate.parse(pipeline.resources["ledger"].pointer("candidate/returns"))
    return found, pipeline.resources["tracking"].root / found.run_id


def record(folder: Path) -> TrainingRecord:
    return TrainingRecord.model_validate_json((folder / "training.json").read_text())


def trained_metadata(result: Any) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("returns__trained_model")
    return dict(event.metadata)


def test_a_network_is_trained_twice_to_the_same_digest_and_answers(pipeline: Pipeline) -> None:
    pytest.importorskip("torch")
    pipeline.project.land()
    write_model(pipeline, _NETWORK)
    result = pipeline.materialize(UP_TO_TRAINING)
    assert result.success, failures(result)
    first, folder = candidate(pipeline)

    assert pipeline.materialize(TRAINING, months=None).success
    second, _ = candidate(pipeline)

    assert first.digest == second.digest
    assert first.run_id != second.run_id
    assert (folder / "estimator.safetensors").is_file()
    answers = Scorer.load(read_package(folder / "package")).predict(sales("2026-04").head(5)).probabilities
    assert answers.shape == (5, 2)
    assert record(folder).params["classifier__lr"] == 0.01


def test_a_loss_that_diverges_names_the_remedy_and_makes_no_candidate(pipeline: Pipeline) -> None:
    pytest.importorskip("torch")
    pipeline.project.land()
    write_model(pipeline, _NETWORK.replace("learning_rate=0.01", "learning_rate=1e30"))

    result = pipeline.materialize(UP_TO_TRAINING)

    assert not result.success
    assert "lower learning_rate (now 1e+30)" in failures(result)
    assert pipeline.resources["ledger"].pointer("candidate/returns") is None


def test_a_search_is_recorded_shown_and_not_repeated(pipeline: Pipeline) -> None:
    pipeline.project.land()
    write_model(pipeline, _TUNED, _TUNE)
    result = pipeline.materialize(UP_TO_TRAINING)
    assert result.success, failures(result)
    first, folder = candidate(pipeline)
    tuning = record(folder).tuning
    runs = pipeline.resources["tracking"].runs

    assert tuning is not None
    assert [trial.number for trial in tuning.trials] == list(range(6))
    assert record(folder).params["learning_rate"] == tuning.best_trial.params["learning_rate"]
    below = [run for run in runs.values() if run.parent == first.run_id]
    assert sorted(run.name for run in below) == [f"trial {number}" for number in range(6)]
    assert all("learning_rate" in run.params and "fold_0" in run.metrics for run in below)
    shown = trained_metadata(result)
    assert len(shown["trials"].records) == 6
    assert shown["optimisation history"].value.startswith("![history](data:image/png;base64,")

    (pipeline.project.defs / "returns" / "model.py").write_text(_TUNED + "\n# a comment\n")
    before = tried(pipeline)
    assert pipeline.materialize(TRAINING, months=None).success
    assert tried(pipeline) == before
    assert candidate(pipeline)[0].digest == first.digest


def tried(pipeline: Pipeline) -> list[Any]:
    import optuna

    storage = pipeline.resources["studies"].storage()
    studies = optuna.get_all_study_summaries(storage)
    return [(study.study_name, study.n_trials) for study in studies]


def test_when_every_trial_fails_the_reason_is_told(pipeline: Pipeline) -> None:
    pipeline.project.land()
    write_model(pipeline, _TUNED.replace('"max_leaf_nodes": trial', '"max_leafs": trial'), _TUNE)

    result = pipeline.materialize(UP_TO_TRAINING)

    assert not result.success
    assert "6 of 6 trials failed and none gave a score" in failures(result)
    assert "max_leafs" in failures(result)
    states = [run.status for run in pipeline.resources["tracking"].runs.values()]
    assert set(states) == {"FAILED"}


def test_what_onnx_cannot_express_is_served_by_skops_once_declared(pipeline: Pipeline) -> None:
    pipeline.project.land()
    write_model(pipeline, _FALLBACK)
    refused = pipeline.materialize(UP_TO_TRAINING)
    assert not refused.success
    assert "declare 'trusted_types: [numpy.nan_to_num]'" in failures(refused)

    write_model(pipeline, _FALLBACK, "  trusted_types: []\n")
    missing = pipeline.materialize(TRAINING, months=None)
    assert not missing.success
    assert "add numpy.nan_to_num to trusted_types" in failures(missing)

    pipeline.project.edit("returns/defs.yaml", "trusted_types: []", "trusted_types: [numpy.nan_to_num]")
    result = pipeline.materialize(TRAINING, months=None)
    assert result.success, failures(result)
    first, folder = candidate(pipeline)
    package = read_package(folder / "package")
    assert package.signature.engine == "skops"
    assert package.signature.trusted_types == ["numpy.nan_to_num"]
    assert "model.onnx" not in package.files
    assert trained_metadata(result)["served by"].value.startswith("scikit-learn through skops: ")
    assert pipeline.materialize(TRAINING, months=None).success
    assert candidate(pipeline)[0].digest == first.digest

    evaluated = pipeline.materialize('key:"returns/evaluation_report"', months=None)
    parity = pipeline.checks["onnx_parity"]
    assert parity.passed, failures(evaluated)
    assert "served by scikit-learn through skops, not ONNX" in parity.description


_KILLED = """
import sys
from pathlib import Path
import polars as pl
from mlcicd_assets.assets.tuning import search
from mlcicd_assets.ml.catalogue import load_all
from resources.studies import OptunaStudies
from tests.fakes.tracking import FolderTracking

defs, home = Path(sys.argv[1]), Path(sys.argv[2])
lane = load_all(defs).models["returns"]
tracking = FolderTracking(home / "runs")
with tracking.run("returns", "train", {}) as run:
    found = search(
        lane,
        pl.read_parquet(home / "rows.parquet"),
        {"sales/features": "content"},
        studies=OptunaStudies(f"sqlite:///{home}/tuning.db"),
        tracking=tracking,
        run_id=run.id,
        scratch=home / "scratch",
    )
print(found.model_dump_json())
"""
# Each fit leaves a line: what was tried is counted from outside.
_COUNTED = _TUNED.replace(
    "    return Hist",
    """    import os
    from pathlib import Path

    with (Path(__file__).parent / "fits").open("a") as fits:
        fits.write("fit\\n")
    return Hist""",
)


def test_a_search_whose_process_is_killed_goes_on_where_it_was(pipeline: Pipeline, tmp_path: Path) -> None:
    write_model(pipeline, _COUNTED, _TUNE)
    rng = np.random.default_rng(0)
    x = rng.normal(size=400).astype(np.float32)
    rows = pl.DataFrame({"x": x, "_label": (x + rng.normal(size=400) > 0).astype(np.int8)})
    fits = pipeline.project.defs / "returns" / "fits"
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for home in (killed, whole):
        home.mkdir()
        rows.write_parquet(home / "rows.parquet")

    undisturbed = json.loads(start(pipeline, whole).communicate()[0])
    fits.unlink()
    process = start(pipeline, killed)
    deadline = time.monotonic() + 240
    while (len(fits.read_text().splitlines()) if fits.exists() else 0) < 5:
        assert process.poll() is None, "the search ended before it could be killed"
        assert time.monotonic() < deadline
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = finished_folds(killed)
    fits.unlink()
    resumed = json.loads(start(pipeline, killed).communicate()[0])

    assert resumed == undisturbed
    assert before >= 4
    assert len(fits.read_text().splitlines()) == finished_folds(killed) - before


def start(pipeline: Pipeline, home: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(pipeline.project.defs), str(home)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def finished_folds(home: Path) -> int:
    import optuna

    storage = OptunaStudies(f"sqlite:///{home}/tuning.db").storage()
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(storage=storage, study_name=name).get_trials()
    return sum(key.startswith("fold ") for trial in trials for key in trial.user_attrs)
