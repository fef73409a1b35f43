"""What a training cost, and the gates on it."""

import pytest

from mlcicd_assets.ml.evaluation.gates import GateResult, decide
from mlcicd_assets.ml.training.cost import Rates, TrainingCost, cost_bound, metrics_of, money
from tests.fakes.evaluations import declaration, evaluation, record

COST = TrainingCost(wall_seconds=900, cpu_seconds=7_200, gpu_seconds=1_800, peak_memory_mb=800)
RATES = Rates(cpu_hour=0.04, gpu_hour=1.2, currency="EUR")


def test_money_is_hours_at_the_declared_rates() -> None:
    assert money(COST, RATES) == pytest.approx(2 * 0.04 + 0.5 * 1.2)


def judged(bound: str, *, name: str = "train_cost", cost: TrainingCost | None = COST) -> GateResult:
    chosen = declaration(gates={"roc_auc": ">= 0.60", name: bound}, rates=RATES.model_dump())
    found = decide(chosen, evaluation(training=record(cost=cost)))
    return next(gate for gate in found if gate.name == name)


@pytest.mark.parametrize(
    ("bound", "passed", "value"),
    [
        ("<= 5 cpu-hours", True, 2.0),
        ("<= 1.5 cpu-hours", False, 2.0),
        ("<= 0.5 gpu-hours", True, 0.5),
        ("<= 2.50 EUR", True, 0.68),
        ("<= 0.50 EUR", False, 0.68),
    ],
)
def test_the_cost_is_judged_in_its_unit(bound: str, passed: bool, value: float) -> None:
    gate = judged(bound)
    assert (gate.passed, gate.value, gate.bound) == (passed, pytest.approx(value), bound)
    assert bound.split()[-1] in gate.message


@pytest.mark.parametrize(
    ("name", "bound", "passed"),
    [
        ("train_cpu_seconds", "<= 7200", True),
        ("train_gpu_seconds", "<= 60", False),
        ("train_seconds", "<= 1000", True),
        ("train_memory_mb", "<= 512", False),
    ],
)
def test_what_it_used_can_be_a_gate(name: str, bound: str, passed: bool) -> None:
    assert judged(bound, name=name).passed is passed


def test_a_training_that_was_not_metered_does_not_pass() -> None:
    gate = judged("<= 5 cpu-hours", cost=None)
    assert (gate.passed, gate.value) == (False, None)
    assert "not metered" in gate.message


@pytest.mark.parametrize("bound", ["<= 5", "<= 5 hours", "<= 5 USD", "5 cpu-hours", "<= x EUR"])
def test_a_unit_that_nothing_is_measured_in_is_told(bound: str) -> None:
    with pytest.raises(ValueError, match="cpu-hours"):
        cost_bound(bound, RATES)
    with pytest.raises(ValueError, match="cpu-hours"):
        declaration(gates={"train_cost": bound}, rates=RATES.model_dump())


def test_money_needs_rates() -> None:
    with pytest.raises(ValueError, match="money needs 'rates'"):
        declaration(gates={"train_cost": "<= 2 EUR"})


def test_no_other_gate_has_a_unit() -> None:
    with pytest.raises(ValueError, match="a bound reads like"):
        declaration(gates={"roc_auc": ">= 0.5 cpu-hours"})


@pytest.mark.parametrize("currency", ["euro", "€", "eur", "EURO"])
def test_a_currency_is_a_code(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        Rates(cpu_hour=1, currency=currency)


def test_a_run_keeps_what_was_measured_and_money_where_there_are_rates() -> None:
    assert metrics_of(COST, None) == {
        "train_seconds": 900,
        "train_cpu_seconds": 7_200,
        "train_gpu_seconds": 1_800,
        "train_memory_mb": 800,
    }
    assert metrics_of(COST, RATES)["train_cost"] == pytest.approx(0.68)
