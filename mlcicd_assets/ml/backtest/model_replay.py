"""What a model's gates would have said at each step of a walk through history."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlcicd_assets.ml.backtest.bounds import rejudged
from mlcicd_assets.ml.backtest.replay import BacktestError, Finding, Outcome, RuleHistory, Strain, rule_named
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import CHAMPION, GateResult, replayable
from mlcicd_assets.ml.evaluation.metrics import all_metrics


@dataclass(frozen=True)
class Step:
    """One training as of the end of a partition; without evaluation, `problem` says why there was none."""

    partition: str
    evaluation: Evaluation | None = None
    gates: tuple[GateResult, ...] = ()
    problem: str = ""
    cold: str = ""  # why its gates say little: a window that history does not fill yet

    @property
    def released(self) -> bool:
        """Whether every gate passed, so that this became champion of the walk."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    def said(self) -> str:
        """One line for people."""
        if self.problem:
            return self.problem
        failed = [f"{gate.name} failed: {gate.message}" for gate in self.gates if not gate.passed]
        return "; ".join([*([self.cold] if self.cold else []), *(failed or ["released"])])


def findings_of(model: ModelDeclaration, steps: Sequence[Step]) -> list[Finding]:
    """Every gate at each step."""
    bounds = replayable(model)
    return [_finding(step, gate, bound) for gate, bound in bounds.items() for step in steps]


def _finding(step: Step, name: str, bound: str) -> Finding:
    gate = next((gate for gate in step.gates if gate.name == name), None)
    if gate is None:
        return Finding(name, step.partition, "not enough evidence", None, bound, step.problem)
    first = name == CHAMPION and step.evaluation is not None and step.evaluation.champion is None
    outcome: Outcome = "cold start" if first or step.cold else "passed" if gate.passed else "failed"
    reason = f"{step.cold}; {gate.message}" if step.cold else gate.message
    return Finding(name, step.partition, outcome, gate.value, bound, reason, _strains(gate))


def _strains(gate: GateResult) -> tuple[Strain, ...]:
    if gate.value is None:
        return ()
    return (Strain(f"{gate.bound.strip()[0]}= {{}}", gate.value),)


def what_if(rules: Sequence[RuleHistory], steps: Sequence[Step], name: str, text: str) -> RuleHistory:
    """A gate, or any other metric, under another bound on the values of the walk; raises BacktestError.

    The champions stay those of the walk with today's gates.
    """
    if name in all_metrics() and name not in {rule.rule for rule in rules}:
        rules = [*rules, RuleHistory(name, tuple(_metric(step, name) for step in steps))]
    try:
        return rejudged(rule_named(rules, name), text)
    except BacktestError as error:
        raise BacktestError(f"{error}; or a metric: {', '.join(sorted(all_metrics()))}") from None


def _metric(step: Step, name: str) -> Finding:
    value = step.evaluation.metrics.get(name) if step.evaluation else None
    outcome: Outcome = "not enough evidence" if value is None else "cold start" if step.cold else "passed"
    return Finding(name, step.partition, outcome, value, "", step.problem or step.cold)
