"""The one decision: which gates a model must pass, and what its evaluation says about each."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from mlcicd_assets.ml.artifact.parity import TOLERANCE
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.examination import Examined, examined_gates, explanation
from mlcicd_assets.ml.evaluation.gate_names import gate_bound
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.evaluation.serving_truths import ServingTruths
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.ml.training import cost

PARITY = "onnx_parity"
CHAMPION = "beats_champion"


@dataclass(frozen=True)
class GateResult:
    """One gate: `value` is None where there was nothing to measure."""

    name: str
    value: float | None
    bound: str
    passed: bool
    message: str
    severity: Literal["ERROR", "WARN"] = "ERROR"


def required(declaration: ModelDeclaration) -> dict[str, str]:
    """Every gate of a model and its bound: the declared lines, then those that always stand."""
    margin = declaration.champion.non_inferiority
    return {
        **{name: bound.strip() for name, bound in declaration.gates.items()},
        PARITY: f"<= {TOLERANCE:g}",
        serving_truths.SKEW: serving_truths.SKEW_BOUND,
        # In the direction of better: a log loss that falls by 0.01 is a gain of 0.01.
        CHAMPION: f">= {-margin!r}" if margin else ">= 0",
    }


def replayable(declaration: ModelDeclaration) -> dict[str, str]:
    """Those of `required` that need no server, so that history can answer them."""
    return {name: bound for name, bound in required(declaration).items() if name not in serving_truths.GATES}


def decide(declaration: ModelDeclaration, evaluation: Evaluation) -> list[GateResult]:
    """Judge an evaluation by the declaration; one result per gate of `required`, in its order.

    Whatever is missing fails, and the message says what is missing.
    """
    return [_judge(declaration, evaluation, name, bound) for name, bound in required(declaration).items()]


def _judge(declaration: ModelDeclaration, evaluation: Evaluation, name: str, bound: str) -> GateResult:
    if evaluation.model != declaration.name:
        return GateResult(name, None, bound, False, f"the evaluation is about {evaluation.model!r}")
    if evaluation.task != declaration.task:
        said = f"the evaluation is of a {evaluation.task} model, the declaration says {declaration.task}: "
        return GateResult(name, None, bound, False, f"{said}materialize trained_model again")
    if name == CHAMPION:
        return _against_champion(declaration, evaluation, bound)
    if name == PARITY:
        return _parity(evaluation, bound)
    if name in serving_truths.GATES:
        value = serving_truths.values(evaluation.serving).get(name)
        return _served(name, value, bound, evaluation.serving)
    if name in cost.GATES:
        return _cost(declaration, evaluation, name, bound)
    if name in examined_gates(declaration.task) or "[" in name:
        return _examined(evaluation.examined, name, bound)
    value = evaluation.metrics.get(name)
    if value is None or math.isnan(value):
        return GateResult(name, None, bound, False, f"{name} is missing: {_why_missing(evaluation)}")
    return _bounded(name, value, bound)


def _served(name: str, value: float | None, bound: str, truths: ServingTruths | None) -> GateResult:
    if value is None or math.isnan(value):
        missing = f"{name} is missing: {serving_truths.why_missing(name, truths)}"
        return GateResult(name, None, bound, False, missing)
    result = _bounded(name, value, bound)
    where = serving_truths.where_skewed(truths.skew) if truths and truths.skew else ""
    if name != serving_truths.SKEW or result.passed or not where:
        return result
    return replace(result, message=f"{result.message}; {where}")


def _examined(examined: Examined, name: str, bound: str) -> GateResult:
    value, said = examined.values().get(name), explanation(examined, name)
    if value is None or math.isnan(value):
        return GateResult(name, None, bound, False, f"{name} is missing: {said}")
    return _bounded(name, value, bound, f" ({said})")


def _cost(declaration: ModelDeclaration, evaluation: Evaluation, name: str, bound: str) -> GateResult:
    read = gate_bound(name, bound, declaration.rates)
    value = cost.values(evaluation.training.cost, read, declaration.rates)[name]
    if value is None:
        missing = f"{name} is missing: the training was not metered; materialize trained_model again"
        return GateResult(name, None, bound, False, missing)
    passed = read.admits(value)
    said = f"{name} is {value:.4g} {read.unit}".rstrip()
    return GateResult(name, value, bound, passed, f"{said}, {_said(passed, bound)}")


def _bounded(name: str, value: float, bound: str, more: str = "") -> GateResult:
    passed = Bound.parse(bound).admits(value)
    return GateResult(name, value, bound, passed, f"{name} is {value:.4g}{more}, {_said(passed, bound)}")


def _said(passed: bool, bound: str) -> str:
    return f"{bound} as required" if passed else f"but must be {bound}"


def _why_missing(evaluation: Evaluation) -> str:
    if evaluation.notes:
        return "; ".join(evaluation.notes)
    held = "" if evaluation.positives is None else f" ({evaluation.positives} positive)"
    return f"the holdout of {evaluation.rows} rows{held} does not define it, or a score is no number"


def _parity(evaluation: Evaluation, bound: str) -> GateResult:
    parity = evaluation.parity
    if parity.max_difference is None or parity.rows == 0:
        reason = "a score is no number" if parity.rows else "no rows were compared"
        return GateResult(PARITY, None, bound, False, f"{PARITY} is missing: {reason}")
    more = f" ({parity.label_flips} of {parity.rows} classes differ)"
    return _bounded(PARITY, parity.max_difference, bound, more)


def _against_champion(declaration: ModelDeclaration, evaluation: Evaluation, bound: str) -> GateResult:
    champion, metric = evaluation.champion, declaration.champion.metric
    if champion is None:
        return GateResult(CHAMPION, None, bound, True, "first release: there is no champion to compare with")
    named = f"champion version {champion.version}"
    if champion.problem:
        return GateResult(
            CHAMPION, None, bound, False, f"{named} could not be scored on this holdout: {champion.problem}"
        )
    mine, theirs = evaluation.metrics.get(metric), champion.metrics.get(metric)
    if mine is None or theirs is None or math.isnan(mine) or math.isnan(theirs):
        whose = "the challenger's" if mine is None or math.isnan(mine) else f"the {named}'s"
        return GateResult(CHAMPION, None, bound, False, f"{whose} {metric} is missing on this holdout")
    gain = mine - theirs if metrics_of(declaration.task)[metric] else theirs - mine
    passed = Bound.parse(bound).admits(gain)
    message = (
        f"{metric} is {mine:.4g}, {named} has {theirs:.4g} on the same holdout: "
        f"a gain of {gain:+.4g}, {_said(passed, bound)}"
    )
    return GateResult(CHAMPION, gain, bound, passed, message)
