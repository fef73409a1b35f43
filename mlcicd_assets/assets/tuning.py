"""Tuning within a training's run: the search, its trials below the run, and what the UI shows of it."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from mlcicd_assets.ml.catalogue import ModelLane, read_reference
from mlcicd_assets.ml.code.code_versions import model_code
from mlcicd_assets.ml.data.feature_table import LABEL, model_columns
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.fingerprint import value_fingerprint
from mlcicd_assets.ml.training.folds import forward_folds
from mlcicd_assets.ml.training.targets import TrainingError, learned_classes
from mlcicd_assets.ml.training.trial_pool import TrialPool
from mlcicd_assets.ml.training.trial_worker import Job
from mlcicd_assets.ml.training.tune import Tune, parse_size
from mlcicd_assets.ml.training.tuning import Trial, Tuned, tune
from mlcicd_assets.ml.training.tuning_record import TuningRecord
from mlcicd_assets.ml.user_code import load_function
from resources.protocols import Studies, Tracking

# They change how long a search takes or how far it goes, never what a trial gives.
_NOT_OF_THE_STUDY = {"tune.trials", "tune.timeout", "tune.jobs", "tune.memory"}
_LIBRARIES = ("numpy", "optuna", "scikit-learn")


class _TrialFailed(Exception):
    """Marks a trial's run as failed."""


def search(
    lane: ModelLane,
    rows: pl.DataFrame,
    inputs: Mapping[str, str],
    *,
    studies: Studies,
    tracking: Tracking,
    run_id: str,
    scratch: Path,
) -> TuningRecord | None:
    """Search the declared space on the training window's `rows`, which are in order of time.

    A search of the same code, `inputs` and window goes on where an earlier run left it. None where nothing is
    declared; raises TrainingError or ResourceError.
    """
    options = lane.model.tune
    if options is None:
        return None
    study = study_name(lane, options, rows, inputs)
    metric = options.metric or lane.model.champion.metric
    job = _job(lane, options, rows, metric).write(scratch / "tuning", rows)
    workers = min(options.jobs or len(os.sched_getaffinity(0)), options.batch * options.folds)
    with TrialPool(job, workers, remaining=_remaining(options)) as evaluate:
        tuned = tune(
            studies.storage(),
            study,
            load_function(*read_reference(lane.folder, options.search)),
            options,
            metric=metric,
            more_is_better=metrics_of(lane.model.task)[metric],
            seed=lane.model.seed if options.seed is None else options.seed,
            evaluate=evaluate,
            finished=lambda trial: _log(tracking, lane.model.name, run_id, metric, trial),
        )
    return _record(tuned, study)


def study_name(lane: ModelLane, options: Tune, rows: pl.DataFrame, inputs: Mapping[str, str]) -> str:
    """The name of a search: the model, and a fingerprint of all that a trial's score depends on."""
    code = model_code(lane, "trained_model")
    # Where the last batch is a part of one, more trials would have drawn and pruned it otherwise.
    part = options.trials if options.trials % options.batch else 0
    said = {
        "code": dict(code.parts),
        "parameters": {k: v for k, v in code.parameters.items() if k not in _NOT_OF_THE_STUDY},
        "inputs": dict(inputs),
        "rows": rows.height,
        "part": part,
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    return f"{lane.model.name}-{value_fingerprint(said)[:20]}"


def _job(lane: ModelLane, options: Tune, rows: pl.DataFrame, metric: str) -> Job:
    model = lane.model
    try:
        folds = forward_folds(rows.height, options.folds, options.validation)
    except ValueError as error:
        raise TrainingError(f"tuning: {error}") from error
    file, name = read_reference(lane.folder, model.estimator)
    return Job(
        estimator=(str(file.absolute()), name),
        features=model_columns(rows.columns),
        label=LABEL,
        task=model.task,
        classes=learned_classes(rows[LABEL], model.task),
        imbalance=model.imbalance,
        threshold=model.threshold,
        costs=model.costs.model_dump(mode="json") if model.costs else None,
        metric=metric,
        folds=[(fold.start, fold.end) for fold in folds],
        seed=model.seed,
        memory=parse_size(options.memory) if options.memory else None,
    )


def _remaining(options: Tune) -> Callable[[], float | None]:
    started = time.monotonic()
    budget = options.budget
    return lambda: None if budget is None else budget.total_seconds() - (time.monotonic() - started)


def _log(tracking: Tracking, model: str, run_id: str, metric: str, trial: Trial) -> None:
    tags = {
        "trial": str(trial.number),
        "state": trial.state,
        **({"error": trial.error} if trial.error else {}),
    }
    scores = {f"fold_{number}": score for number, score in enumerate(trial.folds)}
    value = {metric: trial.value} if trial.value is not None else {}
    with (
        suppress(_TrialFailed),
        tracking.run(model, f"trial {trial.number}", tags, parent=run_id) as run,
    ):
        tracking.log(run.id, params=trial.params, metrics={**scores, **value})
        if trial.state == "failed":
            raise _TrialFailed


def _record(tuned: Tuned, study: str) -> TuningRecord:
    return TuningRecord.model_validate(
        {
            "study": study,
            "metric": tuned.metric,
            "more_is_better": tuned.more_is_better,
            "best": tuned.best.number,
            "ended": tuned.ended,
            "trials": [
                {
                    "number": trial.number,
                    "state": trial.state,
                    "value": trial.value,
                    "params": dict(trial.params),
                    "error": trial.error,
                }
                for trial in tuned.trials
            ],
        }
    )


def shown(tuning: TuningRecord | None) -> dict[str, Any]:
    """Trials, best parameters and the history's picture, for the asset's metadata."""
    if tuning is None:
        return {}
    from mlcicd_assets.reports.figures import data_uri
    from mlcicd_assets.reports.tuning import history_png

    trials = [
        dg.TableRecord(
            {
                "trial": trial.number,
                "state": trial.state,
                tuning.metric: "" if trial.value is None else f"{trial.value:.4f}",
                "parameters": ", ".join(f"{name}={value}" for name, value in trial.params.items()),
                "error": trial.error,
            }
        )
        for trial in tuning.trials
    ]
    best = tuning.best_trial
    return {
        "tuning": f"trial {best.number} of {len(tuning.trials)}: {tuning.metric} {best.value:.4f} in "
        f"validation; ended by {tuning.ended}",
        "best parameters": dg.MetadataValue.json(dict(best.params)),
        "trials": dg.MetadataValue.table(trials),
        "optimisation history": dg.MetadataValue.md(f"![history]({data_uri(history_png(tuning))})"),
    }
