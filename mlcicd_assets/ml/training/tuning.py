"""Searching parameters by Optuna: seeded, pruned, resumable, and the same however many processes work.

Trials are drawn in batches, all before one of them runs, each by a sampler with a seed of its own; folds are
evaluated in step, and pruning is decided when the batch has come so far, in the order of the trials. So
nothing depends on which process was faster. Everything stands in Optuna's storage as soon as it is known: a
search that was killed goes on where it was.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlcicd_assets.ml.training.targets import TrainingError
from mlcicd_assets.ml.training.tune import Tune

if TYPE_CHECKING:
    import optuna

Params = Mapping[str, str | int | float | bool | None]
_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
_SLOT, _PARAMS, _PASSED, _ERROR, _ENDED = "slot", "params", "passed", "error", "ended"


@dataclass(frozen=True)
class Unit:
    """One fold of one trial."""

    trial: int
    fold: int
    params: Params = field(hash=False)


@dataclass(frozen=True)
class Outcome:
    """What came of a unit: a score, or why there is none."""

    unit: Unit
    score: float | None
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """One set of parameters that was tried."""

    number: int
    state: Literal["complete", "pruned", "failed", "unfinished"]
    value: float | None  # the mean over folds; of a pruned trial over those it had
    params: Params
    folds: tuple[float, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Tuned:
    """The best parameters, and what was tried."""

    metric: str
    more_is_better: bool
    best: Trial
    trials: list[Trial]
    ended: Literal["trials", "timeout"]


# Units in, outcomes in any order; those that the timeout left undone are missing.
Evaluate = Callable[[Sequence[Unit]], Iterable[Outcome]]


def tune(
    storage: "optuna.storages.BaseStorage",
    study: str,
    space: Callable[[Any], Params],
    options: Tune,
    *,
    metric: str,
    more_is_better: bool,
    seed: int,
    evaluate: Evaluate,
    finished: Callable[[Trial], None] = lambda _: None,
) -> Tuned:
    """Search, or go on with a search of this name; what it has tried is not tried again.

    `finished` is told of each trial that ends, those of an earlier process first. Raises TrainingError when
    the search space cannot be used or no trial gave a score.
    """
    search = _Search(storage, study, space, options, more_is_better, seed, evaluate, finished)
    ended = search.run()
    trials = search.trials()
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    if not complete:
        raise TrainingError(_nothing(trials, options))
    sign = 1 if more_is_better else -1
    best = max(complete, key=lambda trial: (sign * (trial.value or 0.0), -trial.number))
    return Tuned(metric, more_is_better, best, trials, ended)


def _nothing(trials: Sequence[Trial], options: Tune) -> str:
    failed = [trial for trial in trials if trial.state == "failed"]
    if failed:
        return (
            f"tuning: {len(failed)} of {options.trials} trials failed and none gave a score; "
            f"the first (trial {failed[0].number}): {failed[0].error}"
        )
    return f"tuning: no trial ended within {options.timeout}; raise tune.timeout, or try with fewer folds"


class _Search:
    """One study, batch after batch."""

    def __init__(
        self,
        storage: "optuna.storages.BaseStorage",
        name: str,
        space: Callable[[Any], Params],
        options: Tune,
        more_is_better: bool,
        seed: int,
        evaluate: Evaluate,
        finished: Callable[[Trial], None],
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna = optuna
        self._storage, self._space, self._options = storage, space, options
        self._seed, self._evaluate, self._finished = seed, evaluate, finished
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize" if more_is_better else "minimize",
            load_if_exists=True,
            pruner=_pruner(options),
            sampler=_sampler(seed, 0),
        )

    def run(self) -> Literal["trials", "timeout"]:
        """Try what has not been tried; says what ended it."""
        options = self._options
        self._forget_half_drawn()
        for trial in self.trials():
            if trial.state != "unfinished":
                self._finished(trial)
        if options.timeout and self._study.user_attrs.get(_ENDED) == options.timeout:
            return "timeout"
        for first in range(0, options.trials, options.batch):
            batch = range(first, min(first + options.batch, options.trials))
            self._draw(batch)
            if not self._run(batch):
                self._study.set_user_attr(_ENDED, options.timeout)
                return "timeout"
        return "trials"

    def trials(self) -> list[Trial]:
        """All that was drawn, by number."""
        return [_plain(trial) for number, trial in self._drawn().items() if number < self._options.trials]

    def _drawn(self) -> dict[int, "optuna.trial.FrozenTrial"]:
        found = [trial for trial in self._study.get_trials(deepcopy=False) if _PARAMS in trial.user_attrs]
        return {trial.user_attrs[_SLOT]: trial for trial in sorted(found, key=lambda t: t.user_attrs[_SLOT])}

    def _forget_half_drawn(self) -> None:
        """A process that was killed while it drew parameters leaves a trial without them."""
        for trial in self._study.get_trials(deepcopy=False):
            if not trial.state.is_finished() and _PARAMS not in trial.user_attrs:
                self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)

    def _draw(self, batch: Iterable[int]) -> None:
        known = self._drawn()
        for number in batch:
            if number in known:
                continue
            self._study.sampler = _sampler(self._seed, number)
            trial = self._study.ask()
            params = drawn(self._space, trial)
            trial.set_user_attr(_SLOT, number)
            trial.set_user_attr(_PARAMS, dict(params))

    def _run(self, batch: Iterable[int]) -> bool:
        """Evaluate a batch, fold by fold; False when the time was over before."""
        folds = list(range(self._options.folds))
        steps = [folds] if self._options.pruner == "none" else [[fold] for fold in folds]
        for step, some in enumerate(steps):
            live = self._live(batch)
            units = [
                Unit(number, fold, trial.user_attrs[_PARAMS])
                for number, trial in live.items()
                for fold in some
                if _fold(fold) not in trial.user_attrs
            ]
            done = 0
            for outcome in self._evaluate(units):
                self._keep(live[outcome.unit.trial], outcome)
                done += 1
            if done < len(units):
                return False
            self._decide(self._live(batch), step, last=step == len(steps) - 1)
        return True

    def _live(self, batch: Iterable[int]) -> dict[int, "optuna.trial.FrozenTrial"]:
        known = self._drawn()
        return {number: known[number] for number in batch if not known[number].state.is_finished()}

    def _keep(self, trial: "optuna.trial.FrozenTrial", outcome: Outcome) -> None:
        name = _fold(outcome.unit.fold)
        self._storage.set_trial_user_attr(trial._trial_id, name, outcome.score)
        if outcome.score is None:
            self._storage.set_trial_user_attr(trial._trial_id, _ERROR, outcome.error)

    def _decide(self, live: Mapping[int, "optuna.trial.FrozenTrial"], step: int, *, last: bool) -> None:
        states = self._optuna.trial.TrialState
        for trial in live.values():
            plain = _plain(trial)
            if plain.error:
                self._end(trial, states.FAIL)
            elif last:
                self._end(trial, None, plain.value)
            elif trial.user_attrs.get(_PASSED, -1) < step and self._prunes(trial, plain, step):
                self._end(trial, states.PRUNED)
            else:
                self._storage.set_trial_user_attr(trial._trial_id, _PASSED, step)

    def _prunes(self, trial: "optuna.trial.FrozenTrial", plain: Trial, step: int) -> bool:
        running = self._optuna.trial.Trial(self._study, trial._trial_id)
        running.report(plain.value or 0.0, step)
        return running.should_prune()

    def _end(self, trial: "optuna.trial.FrozenTrial", state: Any, value: float | None = None) -> None:
        # Another run with the same inputs may work on the same study, and have told it first.
        ended = self._study.tell(trial.number, value, state=state, skip_if_finished=True)
        self._finished(_plain(ended))


def drawn(space: Callable[[Any], Params], trial: Any) -> Params:
    """The parameters that the user's function gives for a trial; raises TrainingError."""
    name = getattr(space, "__name__", "search_space")
    try:
        params = space(trial)
    except Exception as error:
        raise TrainingError(f"{name}(trial) raised {type(error).__name__}: {error}") from error
    plain = isinstance(params, Mapping) and all(
        isinstance(key, str) and isinstance(value, str | int | float | bool | None)
        for key, value in params.items()
    )
    if not plain or not params:
        raise TrainingError(
            f"{name}(trial) gave {params!r}; return a dict of parameter names, as set_params takes them, to "
            "numbers, texts or None: {'trees__max_iter': trial.suggest_int('max_iter', 50, 400)}"
        )
    return dict(json.loads(json.dumps(params)))


def _fold(number: int) -> str:
    return f"fold {number}"


def _plain(trial: "optuna.trial.FrozenTrial") -> Trial:
    attrs = trial.user_attrs
    scores = [attrs[name] for name in sorted(attrs, key=_position) if name.startswith("fold ")]
    known = tuple(score for score in scores if score is not None)
    state: Any = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(
        trial.state.name, "unfinished"
    )
    mean = sum(known) / len(known) if known else None
    return Trial(attrs[_SLOT], state, mean, attrs[_PARAMS], known, attrs.get(_ERROR, ""))


def _position(name: str) -> tuple[int, str]:
    return (int(name.split()[1]), "") if name.startswith("fold ") else (-1, name)


def _sampler(seed: int, number: int) -> Any:
    import numpy as np
    import optuna

    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return optuna.samplers.TPESampler(seed=own)


def _pruner(options: Tune) -> Any:
    from optuna import pruners

    if options.pruner == "median":
        return pruners.MedianPruner()
    if options.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=options.folds)
    return pruners.NopPruner()
