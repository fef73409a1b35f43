"""The search by itself: real Optuna, scores from a formula."""

from collections.abc import Iterator, Sequence
from typing import Any

import optuna
import pytest

from mlcicd_assets.ml.training.targets import TrainingError
from mlcicd_assets.ml.training.tune import Tune
from mlcicd_assets.ml.training.tuning import Outcome, Trial, Tuned, Unit, tune

pytestmark = pytest.mark.filterwarnings("ignore")


def space(trial: Any) -> dict[str, Any]:
    return {"x": trial.suggest_float("x", -10, 10), "kind": trial.suggest_categorical("kind", ["a", "b"])}


def loss(unit: Unit) -> float:
    return (float(unit.params["x"]) - 2) ** 2 + (0 if unit.params["kind"] == "a" else 5) + unit.fold / 10


class Evaluator:
    """Answers in an order of its own; `dies_after` units it is killed."""

    def __init__(self, *, backwards: bool = False, dies_after: int | None = None) -> None:
        self.units: list[Unit] = []
        self._backwards, self._dies_after = backwards, dies_after

    def __call__(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        for unit in reversed(units) if self._backwards else units:
            if self._dies_after is not None and len(self.units) >= self._dies_after:
                raise KeyboardInterrupt
            self.units.append(unit)
            yield self.answer(unit)

    def answer(self, unit: Unit) -> Outcome:
        return Outcome(unit, loss(unit))


def searched(
    storage: Any, evaluator: Any, seed: int = 0, told: list[Trial] | None = None, **options: Any
) -> Tuned:
    return tune(
        storage,
        "study",
        options.pop("space", space),
        Tune(search="model.py:space", **{"trials": 22, "batch": 4, **options}),
        metric="log_loss",
        more_is_better=False,
        seed=seed,
        evaluate=evaluator,
        finished=(told if told is not None else []).append,
    )


def memory() -> Any:
    return optuna.storages.InMemoryStorage()


def test_the_best_is_found_and_trials_that_lag_behind_are_pruned() -> None:
    told: list[Trial] = []
    found = searched(memory(), Evaluator(), told=told)

    assert found.best.value is not None
    assert found.best.value < 1
    assert found.best.value == min(trial.value for trial in found.trials if trial.state == "complete")
    assert {"complete", "pruned"} == {trial.state for trial in found.trials}
    assert [trial.number for trial in found.trials] == list(range(22))
    assert sorted(trial.number for trial in told) == list(range(22))
    assert found.ended == "trials"


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_nothing_depends_on_which_answer_comes_first(pruner: str) -> None:
    one = searched(memory(), Evaluator(), pruner=pruner)
    other = searched(memory(), Evaluator(backwards=True), pruner=pruner)

    assert one == other
    assert one != searched(memory(), Evaluator(), seed=1, pruner=pruner)


@pytest.mark.parametrize("pruner", ["median", "none"])
@pytest.mark.parametrize("dies_after", [0, 1, 5, 13, 22, 40])
def test_a_search_that_was_killed_goes_on_and_ends_as_if_it_never_was(dies_after: int, pruner: str) -> None:
    whole = Evaluator()
    undisturbed = searched(memory(), whole, pruner=pruner)
    storage, before, after = memory(), Evaluator(dies_after=dies_after), Evaluator()
    with pytest.raises(KeyboardInterrupt):
        searched(storage, before, pruner=pruner)

    resumed = searched(storage, after, pruner=pruner)

    assert resumed == undisturbed
    assert len(before.units) == dies_after
    # The answer that was on its way when it died may be asked for again, and nothing else.
    assert len(before.units) + len(after.units) == len(whole.units)


def test_a_search_that_is_complete_asks_nothing_more() -> None:
    storage, again = memory(), Evaluator()
    first = searched(storage, Evaluator())

    assert searched(storage, again) == first
    assert again.units == []


def test_more_trials_go_on_where_whole_batches_ended() -> None:
    storage, more = memory(), Evaluator()
    searched(storage, Evaluator(), trials=8)

    extended = searched(storage, more, trials=16)

    assert extended == searched(memory(), Evaluator(), trials=16)
    assert {unit.trial for unit in more.units} == set(range(8, 16))


class Failing(Evaluator):
    def answer(self, unit: Unit) -> Outcome:
        if unit.params["kind"] == "b":
            return Outcome(unit, None, "MemoryError: too large")
        return super().answer(unit)


def test_a_trial_that_fails_is_one_failed_trial() -> None:
    found = searched(memory(), Failing())

    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed
    assert all(trial.error == "MemoryError: too large" and trial.params["kind"] == "b" for trial in failed)
    assert found.best.params["kind"] == "a"


class AllFailing(Evaluator):
    def answer(self, unit: Unit) -> Outcome:
        return Outcome(unit, None, "ValueError: no such penalty")


def test_when_all_trials_fail_the_first_reason_is_told() -> None:
    with pytest.raises(
        TrainingError, match=r"22 of 22 trials failed .*\(trial 0\): ValueError: no such penalty"
    ):
        searched(memory(), AllFailing())


class OutOfTime(Evaluator):
    """Its time is over after some units."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self._left = units

    def __call__(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        for outcome in super().__call__(units):
            if self._left == 0:
                return
            self._left -= 1
            yield outcome


def test_the_budget_ends_the_search_and_is_not_spent_twice() -> None:
    storage, again = memory(), Evaluator()
    found = searched(storage, OutOfTime(17), timeout="10m")

    assert found.ended == "timeout"
    assert {trial.state for trial in found.trials} >= {"complete", "unfinished"}
    assert searched(storage, again, timeout="10m") == found
    assert again.units == []
    assert searched(storage, again, timeout="20m").ended == "trials"


def test_a_budget_too_small_for_one_trial_says_so() -> None:
    with pytest.raises(TrainingError, match=r"no trial ended within 10m; raise tune\.timeout"):
        searched(memory(), OutOfTime(2), timeout="10m")


def raising(trial: Any) -> dict[str, Any]:
    raise KeyError("depth")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (raising, r"raising\(trial\) raised KeyError: 'depth'"),
        (lambda trial: None, "gave None; return a dict of parameter names"),
        (lambda trial: {}, "return a dict"),
        (lambda trial: {"activation": object()}, "return a dict"),
    ],
)
def test_a_search_space_that_cannot_be_used_is_named(bad: Any, said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        searched(memory(), Evaluator(), space=bad)
