"""What a search for parameters tried and chose, as the training's record keeps it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class TrialRecord(BaseModel):
    """One set of parameters."""

    model_config = ConfigDict(frozen=True)

    number: int
    state: Literal["complete", "pruned", "failed", "unfinished"]
    value: float | None  # of the metric in validation; the mean over the folds that were evaluated
    params: dict[str, str | int | float | bool | None]
    error: str = ""


class TuningRecord(BaseModel):
    """A whole search."""

    model_config = ConfigDict(frozen=True)

    study: str  # its name in Optuna's storage
    metric: str
    more_is_better: bool
    best: int  # the number of the chosen trial
    ended: Literal["trials", "timeout"]
    trials: list[TrialRecord]

    @property
    def best_trial(self) -> TrialRecord:
        """The chosen one."""
        return next(trial for trial in self.trials if trial.number == self.best)
