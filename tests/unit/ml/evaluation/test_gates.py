from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation.evaluate import Evaluation, ParityResult
from mlcicd_assets.ml.evaluation.gates import CHAMPION, PARITY, GateResult, decide, required
from mlcicd_assets.ml.evaluation.metrics import METRICS
from tests.fakes.evaluations import champion, declaration, evaluation, fairness

EVALUATION = evaluation()
CHAMPION_OF_OLD = champion(1.0)
NUMBERS = st.floats(-10, 10).map(lambda value: round(value, 4))


def with_metrics(metrics: dict[str, float | None], **changes: Any) -> Evaluation:
    return EVALUATION.model_copy(update={"metrics": {**EVALUATION.metrics, **metrics}, **changes})


def judged(name: str, *args: Any, **options: Any) -> GateResult:
    return next(gate for gate in decide(*args, **options) if gate.name == name)


def test_there_is_one_result_per_line_and_two_that_always_stand() -> None:
    model = declaration()

    gates = decide(model, EVALUATION)

    assert [(gate.name, gate.bound) for gate in gates] == list(required(model).items())
    assert required(model) == {
        "roc_auc": ">= 0.60",
        "log_loss": "<= 0.70",
        "onnx_parity": "<= 0.0001",
        "beats_champion": ">= -0.01",
    }
    assert all(gate.passed for gate in gates)


def test_a_failed_gate_names_metric_value_and_threshold() -> None:
    gate = judged("roc_auc", declaration(gates={"roc_auc": ">= 0.99"}), with_metrics({"roc_auc": 0.75}))

    assert not gate.passed
    assert gate.severity == "ERROR"
    assert gate.message == "roc_auc is 0.75, but must be >= 0.99"


@given(NUMBERS, NUMBERS, st.sampled_from([">=", "<=", ">", "<"]))
def test_a_gate_holds_exactly_when_the_value_keeps_the_bound(value: float, limit: float, sign: str) -> None:
    gate = judged("brier", declaration(gates={"brier": f"{sign} {limit}"}), with_metrics({"brier": value}))

    kept = {">=": value >= limit, "<=": value <= limit, ">": value > limit, "<": value < limit}
    assert gate.passed == kept[sign]
    assert gate.value == value


@given(
    NUMBERS, NUMBERS, st.floats(0, 1).map(lambda margin: round(margin, 3)), st.sampled_from(sorted(METRICS))
)
def test_the_champion_is_beaten_in_the_direction_of_better(
    mine: float, theirs: float, margin: float, metric: str
) -> None:
    costs = {"false_positive": 1, "false_negative": 20}
    model = declaration(champion={"metric": metric, "non_inferiority": margin}, costs=costs)
    standing = CHAMPION_OF_OLD.model_copy(update={"metrics": {metric: theirs}})

    gate = judged(CHAMPION, model, with_metrics({metric: mine}, champion=standing))

    gain = mine - theirs if METRICS[metric] else theirs - mine
    assert gate.passed == (gain >= -margin)
    assert gate.value == gain


def test_a_better_challenger_wins_and_a_worse_one_does_not() -> None:
    better = judged(CHAMPION, declaration(), evaluation(skill=1.2, champion_skill=0.8))
    worse = judged(CHAMPION, declaration(), evaluation(skill=0.8, champion_skill=1.2))

    assert better.passed
    assert not worse.passed
    assert "champion version 3 has" in worse.message
    assert "but must be >= -0.01" in worse.message


def test_as_good_passes_without_a_margin() -> None:
    model = declaration(champion={"metric": "log_loss"})

    gate = judged(CHAMPION, model, evaluation(champion_skill=1.0))

    assert gate.passed
    assert (gate.value, gate.bound) == (0, ">= 0")


def test_the_first_release_has_nobody_to_beat() -> None:
    gate = judged(CHAMPION, declaration(), EVALUATION)

    assert gate.passed
    assert gate.value is None
    assert "first release" in gate.message


def test_a_champion_that_could_not_be_scored_blocks() -> None:
    unscored = champion(1.0, metrics={}, problem="model.onnx was changed")

    gate = judged(CHAMPION, declaration(), EVALUATION.model_copy(update={"champion": unscored}))

    assert not gate.passed
    assert "champion version 3 could not be scored on this holdout: model.onnx was changed" in gate.message


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_metric_that_is_missing_blocks_and_is_named(missing: float | None) -> None:
    model = declaration()
    mine = with_metrics({"roc_auc": missing}, champion=champion(1.0))
    theirs = EVALUATION.model_copy(update={"champion": champion(1.0, metrics={"roc_auc": missing})})

    assert judged("roc_auc", model, mine).message.startswith("roc_auc is missing: the holdout of 2000 rows")
    assert judged(CHAMPION, model, mine).message == "the challenger's roc_auc is missing on this holdout"
    assert "the champion version 3's roc_auc is missing" in judged(CHAMPION, model, theirs).message
    for name, found in (("roc_auc", mine), (CHAMPION, mine), (CHAMPION, theirs)):
        gate = judged(name, model, found)
        assert not gate.passed
        assert gate.value is None


def test_a_gap_without_groups_says_what_it_needs() -> None:
    model = declaration(gates={"equal_opportunity_gap": "<= 0.2"})

    assert "no protected columns" in judged("equal_opportunity_gap", model, EVALUATION).message
    measured = evaluation(protected=True, fairness=fairness(minimum=1_000))
    few = judged("equal_opportunity_gap", model, measured)
    assert not few.passed
    assert "age: two groups need 1000 positives (there are <old>: " in few.message
    enough = judged("equal_opportunity_gap", model, evaluation(fairness=fairness()))
    assert enough.passed
    assert "95% interval" in enough.message


@pytest.mark.parametrize(
    ("parity", "passed", "said"),
    [
        (ParityResult(rows=10, max_difference=1e-4, label_flips=0), True, "0 of 10 classes differ"),
        (ParityResult(rows=10, max_difference=2e-4, label_flips=3), False, "3 of 10 classes differ"),
        (ParityResult(rows=10, max_difference=None, label_flips=0), False, "a score is no number"),
        (ParityResult(rows=0, max_difference=0.0, label_flips=0), False, "no rows were compared"),
    ],
)
def test_what_serves_must_answer_as_what_was_trained(parity: ParityResult, passed: bool, said: str) -> None:
    gate = judged(PARITY, declaration(), EVALUATION.model_copy(update={"parity": parity}))

    assert gate.passed == passed
    assert said in gate.message


def test_an_evaluation_of_another_model_passes_nothing() -> None:
    gates = decide(declaration(name="other"), EVALUATION)

    assert not any(gate.passed for gate in gates)


def test_the_record_survives_json() -> None:
    original = evaluation(protected=True, champion_skill=0.9)

    again = Evaluation.model_validate_json(original.model_dump_json())

    assert again == original
    assert decide(declaration(), again) == decide(declaration(), original)
