"""Real processes that fit real estimators; some of them die."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.training.folds import forward_folds
from mlcicd_assets.ml.training.trial_pool import TrialPool
from mlcicd_assets.ml.training.trial_worker import Job
from mlcicd_assets.ml.training.tuning import Outcome, Unit

_MODEL = """
import os, signal
import numpy as np
from sklearn.linear_model import LogisticRegression


class Odd(LogisticRegression):
    def __init__(self, C=1.0, fate="fine"):
        super().__init__(C=C)
        self.fate = fate

    def fit(self, X, y, sample_weight=None):
        print("a line on standard output")
        if self.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fate == "crashed":
            os.abort()
        if self.fate == "large":
            np.ones(4_000_000_000 // 8).sum()
        if self.fate == "slow":
            signal.pause()
        return super().fit(X, y, sample_weight)


def estimator():
    return Odd()
"""


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    def _job(**changes: Any) -> Path:
        model = tmp_path / "model.py"
        model.write_text(_MODEL)
        rng = np.random.default_rng(0)
        x = rng.normal(size=600).astype(np.float32)
        rows = pl.DataFrame({"x": x, "_label": (x + rng.normal(size=600) > 0).astype(np.int8)})
        folds = forward_folds(rows.height, 2, 0.4)
        options: dict[str, Any] = {
            "estimator": (str(model), "estimator"),
            "features": ["x"],
            "label": "_label",
            "task": "binary",
            "classes": (0, 1),
            "imbalance": "none",
            "threshold": 0.5,
            "metric": "roc_auc",
            "folds": [(fold.start, fold.end) for fold in folds],
            "seed": 0,
        }
        return Job(**{**options, **changes}).write(tmp_path / "job", rows)

    return _job


def outcomes(job: Path, units: list[Unit], workers: int = 1) -> list[Outcome]:
    with TrialPool(job, workers, remaining=lambda: None) as evaluate:
        return sorted(evaluate(units), key=lambda outcome: (outcome.unit.trial, outcome.unit.fold))


def unit(trial: int, fold: int = 0, **params: Any) -> Unit:
    return Unit(trial, fold, {"C": 1.0, **params})


def test_scores_are_the_same_from_one_process_and_two(job: Callable[..., Path]) -> None:
    units = [unit(trial, fold, C=10.0**-trial) for trial in range(3) for fold in range(2)]

    one, two = outcomes(job(), units, 1), outcomes(job(), units, 2)

    assert one == two
    assert all(outcome.score is not None and 0.6 < outcome.score < 0.9 for outcome in one)
    assert one[0].score != one[1].score


@pytest.mark.parametrize(
    ("fate", "said"),
    [
        ("killed", "its process was killed, most likely because the machine ran out of memory"),
        ("crashed", "its process died by SIGABRT"),
        ("large", "out of memory: it needs more than 2 GB (tune.memory)"),
    ],
)
def test_a_trial_that_dies_is_one_failed_trial(job: Callable[..., Path], fate: str, said: str) -> None:
    found = outcomes(job(memory=2_000_000_000), [unit(0), unit(1, fate=fate), unit(2)])

    assert [outcome.score is None for outcome in found] == [False, True, False]
    assert said in found[1].error


@pytest.mark.parametrize(
    ("changes", "params", "said"),
    [
        ({}, {"C": -1.0}, "TrainingError: fitting Odd on 360 rows of x failed"),
        ({}, {"depth": 3}, "depth"),
        ({"folds": [(300, 301), (301, 302)]}, {}, "roc_auc is undefined on the 1 rows of a fold"),
        ({"estimator": ("/nowhere/model.py", "estimator")}, {}, "UserCodeError: /nowhere/model.py"),
    ],
)
def test_what_is_wrong_with_a_trial_is_told_in_one_line(
    job: Callable[..., Path], changes: dict[str, Any], params: dict[str, Any], said: str
) -> None:
    (found,) = outcomes(job(**changes), [unit(0, **params)])

    assert found.score is None
    assert said in found.error
    assert "\n" not in found.error


def test_when_the_time_is_over_processes_end_and_their_trials_are_left_out(job: Callable[..., Path]) -> None:
    found: list[Outcome] = []

    with TrialPool(job(), 1, remaining=lambda: 0.2 if found else 100) as evaluate:
        for outcome in evaluate([unit(0), unit(1, fate="slow"), unit(2)]):
            found.append(outcome)  # noqa: PERF402  the time is over when there is one

    assert [outcome.unit.trial for outcome in found] == [0]
    assert not children()


def test_no_process_is_left_behind_by_an_error(job: Callable[..., Path]) -> None:
    def failing() -> None:
        with TrialPool(job(), 1, remaining=lambda: None) as evaluate:
            for _ in evaluate([unit(0), unit(1, fate="slow")]):
                raise KeyError

    with pytest.raises(KeyError):
        failing()

    assert not children()


def children() -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process().children() if "trial_worker" in " ".join(child.cmdline())]


def test_a_worker_ends_when_its_parent_is_gone(job: Callable[..., Path], tmp_path: Path) -> None:
    import subprocess
    import sys

    import psutil

    folder = job()
    script = (
        "import sys; from pathlib import Path; from mlcicd_assets.ml.training.trial_pool import TrialPool\n"
        "from mlcicd_assets.ml.training.tuning import Unit\n"
        "pool = TrialPool(Path(sys.argv[1]), 1, remaining=lambda: None)\n"
        "print('asking', flush=True)\n"
        "list(pool([Unit(0, 0, {'fate': 'slow'})]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], env=environment, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    worker = eventually(lambda: next(iter(psutil.Process(parent.pid).children()), None))

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    assert eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def eventually(ask: Callable[[], Any], within: float = 30) -> Any:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = ask()
        if found:
            return found
    raise AssertionError("it did not happen")
