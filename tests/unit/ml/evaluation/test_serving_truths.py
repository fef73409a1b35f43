"""What the real server said, and what the gates make of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import decide, required
from mlcicd_assets.ml.evaluation.serving_truths import SKEW, ServingTruths, summarise_load, values
from mlcicd_assets.ml.evaluation.skew import ColumnSkew, Probe, Skew, WorstRow
from tests.fakes.evaluations import declaration, evaluation, serving


def test_quantiles_are_interpolated_between_the_nearest_answers() -> None:
    load = summarise_load([float(n) for n in range(1, 101)], [], seconds=2.0, concurrency=4)
    assert (load.p50_ms, load.p90_ms, load.p99_ms, load.slowest_ms) == (50.5, 90.1, 99.01, 100.0)
    assert load.throughput_rps == 50.0


@given(st.lists(st.floats(0.01, 1e4), min_size=100, max_size=300))
def test_quantiles_are_ordered_and_within_what_was_seen(latencies: list[float]) -> None:
    load = summarise_load(latencies, [], seconds=1.0, concurrency=1)
    seen = [load.p50_ms, load.p90_ms, load.p99_ms, load.slowest_ms]
    assert seen == sorted(seen)  # type: ignore[type-var]
    assert min(latencies) - 1e-3 <= seen[0] <= max(latencies) + 1e-3  # type: ignore[operator]


def test_too_few_answers_have_no_99th_percentile() -> None:
    load = summarise_load([1.0] * 99, [], seconds=1.0, concurrency=1)
    assert (load.p50_ms, load.p99_ms) == (1.0, None)


def test_no_answer_at_all_is_no_measurement() -> None:
    load = summarise_load([], ["no answer within 1 s"], seconds=1.0, concurrency=1)
    assert (load.requests, load.failed, load.p50_ms, load.throughput_rps) == (1, 1, None, None)
    assert load.first_failure == "no answer within 1 s"


def judged(name: str, evaluated: Evaluation, **gates: str) -> tuple[bool, str]:
    chosen = declaration(gates={"roc_auc": ">= 0.60", **gates})
    gate = next(gate for gate in decide(chosen, evaluated) if gate.name == name)
    return gate.passed, gate.message


@pytest.mark.parametrize(
    ("gate", "kept", "broken"),
    [
        ("latency_p50_ms", "<= 5", "<= 1"),
        ("latency_p99_ms", "<= 50", "<= 3"),
        ("throughput_rps", ">= 500", ">= 5000"),
        ("memory_mb", "<= 512", "<= 100"),
        ("cold_start_s", "<= 5", "<= 1"),
        ("artifact_mb", "<= 10", "<= 0.1"),
    ],
)
def test_each_truth_can_be_a_gate(gate: str, kept: str, broken: str) -> None:
    assert judged(gate, evaluation(), **{gate: kept})[0]
    assert not judged(gate, evaluation(), **{gate: broken})[0]


def test_skew_is_always_a_gate_and_no_line_of_the_declaration() -> None:
    assert SKEW in required(declaration())
    with pytest.raises(ValueError, match=f"no metric '{SKEW}'"):
        declaration(gates={SKEW: "<= 1"})


@pytest.mark.parametrize(
    ("truths", "words"),
    [
        (None, "was not measured on the real server"),
        (ServingTruths(problem="the model server did not start: refused: x"), "did not start: refused: x"),
        (serving(problem="3 of 500 requests of valid records failed: no answer within 1 s"), "3 of 500"),
        (serving(skew=Skew(rows=200, max_difference=None)), "a score is no number"),
        (serving(skew=Skew(rows=200, max_difference=None, problem="order")), "order"),
        (serving(skew=None), "was not measured"),
    ],
)
def test_what_was_not_measured_blocks_and_says_why(truths: ServingTruths | None, words: str) -> None:
    passed, message = judged(SKEW, evaluation(serving=truths))
    assert not passed
    assert words in message


def test_a_skew_beyond_rounding_blocks() -> None:
    passed, message = judged(SKEW, evaluation(serving=serving(skew=Skew(rows=9, max_difference=0.02))))
    assert (passed, "0.02" in message) == (False, True)


def test_a_skew_names_the_features_and_the_worst_row() -> None:
    column = ColumnSkew(column="hour", rows=7, max_difference=1.0, trained="8.0", served="9.0")
    worst = WorstRow(keys={"id": "11"}, trained=0.1, served=0.12, columns=[column])
    skew = Skew(rows=9, max_difference=0.02, columns=[column], worst=worst)
    message = judged(SKEW, evaluation(serving=serving(skew=skew)))[1]
    assert "features that differ: hour in 7 of 9 rows" in message
    assert "worst row id=11: 0.1 trained, 0.12 served; hour 8.0 trained, 9.0 served" in message


def test_quick_answers_do_not_speak_for_those_that_failed() -> None:
    found = values(serving(problem="3 of 500 requests failed"))
    assert found == {**dict.fromkeys(serving_truths.GATES), "artifact_mb": 0.4}


def test_an_evaluation_from_before_is_read_and_has_no_passing_skew() -> None:
    old = evaluation().model_dump(mode="json")
    del old["serving"]
    del old["training"]["cost"]
    read = Evaluation.model_validate(old)
    assert read.serving is None
    assert not judged(SKEW, read)[0]


def test_it_survives_json() -> None:
    truths = serving(
        skew=Skew(rows=3, max_difference=1e-7, probes=[Probe(name="p", rows=5, max_difference=0.0)])
    )
    assert ServingTruths.model_validate_json(truths.model_dump_json()) == truths
    assert np.isclose(values(truths)[SKEW] or 1, 1e-7)
