"""The process that evaluates trials: `python -m mlcicd_assets.ml.training.trial_worker JOB PARENT`.

Reads units as lines of JSON from standard input, `{"fold": 0, "params": {...}}`, and answers each by a line,
`{"score": 0.71}` or `{"error": "..."}`. It ends with its input, or when the process that started it is gone.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self, TextIO

import polars as pl

from mlcicd_assets.ml.tasks import ClassLabel, Task
from mlcicd_assets.ml.training.folds import Fold

_JOB, _ROWS = "job.json", "rows.parquet"


@dataclass(frozen=True)
class Job:
    """What all units of a search share; `rows` are in order of time, with the label beside the features."""

    estimator: tuple[str, str]  # file and function
    features: Sequence[str]
    label: str
    task: Task
    classes: Sequence[ClassLabel]
    imbalance: str
    threshold: float
    metric: str
    folds: Sequence[tuple[int, int]]
    seed: int
    costs: Mapping[str, Any] | None = None
    memory: int | None = None  # bytes that a process may take

    def write(self, folder: Path, rows: pl.DataFrame) -> Path:
        """Put the job into a folder that workers read."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _JOB).write_text(json.dumps(asdict(self)))
        rows.select(*self.features, self.label).write_parquet(folder / _ROWS)
        return folder

    @classmethod
    def read(cls, folder: Path) -> tuple[Self, pl.DataFrame]:
        """The job and its rows."""
        return cls(**json.loads((folder / _JOB).read_text())), pl.read_parquet(folder / _ROWS)


def main(arguments: Sequence[str]) -> int:
    """Answer until the input ends."""
    answers = _own_output()
    _end_with(int(arguments[1]))
    job, rows = Job.read(Path(arguments[0]))
    _limit(job.memory)
    for line in sys.stdin:
        unit = json.loads(line)
        answers.write(json.dumps(_answer(job, rows, unit["fold"], unit["params"])) + "\n")
        answers.flush()
    return 0


def _own_output() -> TextIO:
    """Answers go to the pipe; what the estimator prints must not, and goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _end_with(parent: int) -> None:
    """A parent that was killed cannot stop a fit that would go on for hours."""

    def watch() -> None:
        while os.getppid() == parent:
            Event().wait(1.0)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _limit(memory: int | None) -> None:
    # Should the machine run out of memory, the kernel takes this process, not the run that waits for it.
    # Where that cannot be said (not Linux, not allowed), the limit below still holds.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if memory is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _answer(job: Job, rows: pl.DataFrame, fold: int, params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"score": evaluate(job, rows, Fold(*job.folds[fold]), params)}
    except Exception as error:  # noqa: BLE001  whatever it is, it is one failed trial, told by this line
        if _out_of_memory(error):
            limit = f"{job.memory / 1e9:g} GB (tune.memory)" if job.memory else "this machine has"
            return {"error": f"out of memory: it needs more than {limit}; narrow the search space"}
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}


def _out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def evaluate(job: Job, rows: pl.DataFrame, fold: Fold, params: Mapping[str, Any]) -> float:
    """Fit on the rows before a fold, and measure on it; raises TrainingError where there is no score."""
    from mlcicd_assets.ml.artifact.scoring import Predictions
    from mlcicd_assets.ml.evaluation.costs import Costs
    from mlcicd_assets.ml.evaluation.target import Target
    from mlcicd_assets.ml.training.fitting import apply, fit, scores
    from mlcicd_assets.ml.training.targets import TrainingError, learned_classes

    learn, judge = rows[: fold.start], rows[fold.start : fold.end]
    estimator = apply(_estimator(job), params)
    labels = learn[job.label]
    features = learn.select(job.features)
    fit(
        estimator,
        features,
        labels,
        task=job.task,
        imbalance=job.imbalance,  # type: ignore[arg-type]  # as declared
        seed=job.seed,
        threads=1,  # else a score could depend on how many processes share the cores
    )
    own = learned_classes(labels, job.task)
    costs = Costs.model_validate(job.costs) if job.costs else None
    target = Target(job.task, tuple(job.classes), job.threshold, costs)
    given = scores(estimator, judge.select(job.features), job.task, own)
    if job.task == "multiclass":
        given = target.scores(Predictions(given, given.argmax(axis=1)), own)
    value = target.measure(target.truth(judge[job.label]), given).metrics[job.metric]
    if value is None:
        seen = judge[job.label].unique().sort().to_list()[:5]
        raise TrainingError(
            f"{job.metric} is undefined on the {judge.height} rows of a fold, whose labels are {seen}; "
            "declare fewer folds (tune.folds)"
        )
    return value


def _estimator(job: Job) -> Any:
    from mlcicd_assets.ml.training.fitting import new_estimator
    from mlcicd_assets.ml.user_code import load_function

    file, name = job.estimator
    return new_estimator(load_function(Path(file), name), job.task)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
