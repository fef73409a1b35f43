from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation.evaluate import Evaluation, ParityResult
from mlcicd_assets.ml.evaluation.gates import CHAMPION, PARITY, GateResult, decide, required
from mlcicd_assets.ml.evaluation.significance import MetricEvidence, Significance, decide_one
from tests.fakes.evaluations import champion, declaration, evaluation, fairness

EVALUATION = evaluation()
CHAMPION_OF_OLD = champion(1.0)
NUMBERS = st.floats(-10, 10).map(lambda value: round(value, 4))


def with_metrics(metrics: dict[str, float | None], **changes: Any) -> Evaluation:
    return EVALUATION.model_copy(update={"metrics": {**EVALUATION.metrics, **metrics}, **changes})


def compared_by(found: MetricEvidence) -> Evaluation:
    """An evaluation with this evidence alone."""
    whole = Significance(confidence=0.95, resamples=1000, seed=0, rows=2_000, metrics=[found])
    return EVALUATION.model_copy(update={"champion": CHAMPION_OF_OLD, "significance": whole})


def judged(name: str, *args: Any, **options: Any) -> GateResult:
    return next(gate for gate in decide(*args, **options) if gate.name == name)


def test_there_is_one_result_per_line_and_those_that_always_stand() -> None:
    model = declaration()

    gates = decide(model, EVALUATION)

    assert [(gate.name, gate.bound) for gate in gates] == list(required(model).items())
    assert required(model) == {
        "roc_auc": ">= 0.60",
        "log_loss": "<= 0.70",
        "onnx_parity": "<= 0.0001",
        "training_serving_skew": "<= 0.0001",
        "reproducible": "<= 0",
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


@given(NUMBERS, st.floats(0, 1), st.floats(0, 1).map(lambda margin: round(margin, 3)))
def test_the_lower_end_of_the_gain_decides(low: float, width: float, margin: float) -> None:
    model = declaration(champion={"metric": "brier", "non_inferiority": margin})
    found = MetricEvidence(
        metric="brier",
        value=0.1,
        champion=0.1,
        gain=low + width / 2,
        gain_low=low,
        gain_high=low + width,
        margin=margin,
        method="bootstrap",
        verdict=decide_one(low, low + width, margin),
    )

    gate = judged(CHAMPION, model, compared_by(found))

    assert gate.passed == (low >= -margin)
    assert gate.value == low


def test_a_better_challenger_wins_and_a_worse_one_does_not() -> None:
    better = judged(CHAMPION, declaration(), evaluation(skill=1.2, champion_skill=0.8))
    worse = judged(CHAMPION, declaration(), evaluation(skill=0.8, champion_skill=1.2))

    assert better.passed
    assert better.message.startswith("better: roc_auc is ")
    assert not worse.passed
    assert "champion version 3 has" in worse.message
    assert worse.message.startswith("worse: ")
    assert "the champion stays" in worse.message


def test_as_good_passes_without_a_margin() -> None:
    model = declaration(champion={"metric": "log_loss"})

    gate = judged(CHAMPION, model, evaluation(champion_skill=1.0))

    assert gate.passed
    assert (gate.value, gate.bound) == (0, ">= 0")


def test_too_little_evidence_blocks_and_says_how_many_rows_would_decide() -> None:
    found = MetricEvidence(
        metric="roc_auc",
        value=0.701,
        champion=0.7,
        gain=0.001,
        gain_low=-0.02,
        gain_high=0.022,
        margin=0.01,
        method="DeLong",
        verdict="inconclusive",
        rows_needed=7_500,
    )

    gate = judged(CHAMPION, declaration(), compared_by(found))

    assert not gate.passed
    assert gate.message.startswith("not enough evidence: roc_auc is 0.701, champion version 3 has 0.7 ")
    assert "a gain of +0.001 (95 % interval -0.02 to +0.022, DeLong) reaches below" in gate.message
    assert "about 7,500 rows like these would decide" in gate.message


def test_a_margin_that_was_tightened_since_is_not_passed_by_the_old_evaluation() -> None:
    model = declaration(champion={"metric": "roc_auc"})

    gate = judged(CHAMPION, model, evaluation(skill=1.0, champion_skill=1.001))

    assert not gate.passed
    assert gate.message.endswith("but the lower end of the gain must be >= 0")


def test_further_metrics_must_not_be_worse_each_by_a_gate_of_its_own() -> None:
    model = declaration(champion={"metric": "roc_auc", "also": {"brier": 0.002, "log_loss": 0.0}})
    assert {name: bound for name, bound in required(model).items() if name.endswith("_not_worse")} == {
        "brier_not_worse": ">= -0.002",
        "log_loss_not_worse": ">= 0",
    }

    assert judged("brier_not_worse", model, evaluation(skill=1.2, champion_skill=0.8)).passed
    assert not judged("brier_not_worse", model, evaluation(skill=0.8, champion_skill=1.2)).passed


def test_an_evaluation_from_before_there_were_intervals_blocks() -> None:
    gate = judged(CHAMPION, declaration(), evaluation(champion_skill=0.5, significance=None))

    assert not gate.passed
    assert "has no intervals; materialize evaluation_report again" in gate.message


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
    lost = MetricEvidence(metric="roc_auc", value=missing, champion=0.7, reason="a score is no number")

    gate = judged("roc_auc", model, with_metrics({"roc_auc": missing}))
    against = judged(CHAMPION, model, compared_by(lost))

    assert gate.message.startswith("roc_auc is missing: the holdout of 2000 rows")
    assert against.message == (
        "not enough evidence: roc_auc cannot be compared with champion version 3: a score is no number"
    )
    for one in (gate, against):
        assert not one.passed
        assert one.value is None


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
