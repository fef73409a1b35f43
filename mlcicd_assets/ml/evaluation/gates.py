"""The one decision: which gates a model must pass, and what its evaluation says about each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlcicd_assets.ml.artifact.parity import TOLERANCE
from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation import serving_truths
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.examination import Examined, examined_gates, explanation
from mlcicd_assets.ml.evaluation.gate_names import gate_bound
from mlcicd_assets.ml.evaluation.reproducibility import GATE as REPRODUCIBLE
from mlcicd_assets.ml.evaluation.serving_truths import ServingTruths
from mlcicd_assets.ml.evaluation.significance import PASSING, in_words
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.ml.training import cost

PARITY = "onnx_parity"
CHAMPION = "beats_champion"
CODE = "source_code"


@dataclass(frozen=True)
class GateResult:
    """One gate: `value` is None where there was nothing to measure."""

    name: str
    value: float | None
    bound: str
    passed: bool
    message: str
    severity: Literal["ERROR", "WARN"] = "ERROR"


def required(declaration: ModelDeclaration, code: Sequence[str] = ()) -> dict[str, str]:
    """Every gate of a model and its bound: the declared lines, then those that always stand.

    `code` are the checks that the project declares for its code; without any, nothing is asked of it.
    """
    rule, again = declaration.champion, declaration.reproducible
    return {
        **{name: bound.strip() for name, bound in declaration.gates.items()},
        PARITY: f"<= {TOLERANCE:g}",
        serving_truths.SKEW: serving_truths.SKEW_BOUND,
        **({REPRODUCIBLE: f"<= {again.tolerance:g}"} if again.gate else {}),
        **({CODE: f"passed: {', '.join(code)}"} if code else {}),
        CHAMPION: _no_worse_by(rule.non_inferiority),
        **{not_worse(metric): _no_worse_by(margin) for metric, margin in rule.also.items()},
    }


def not_worse(metric: str) -> str:
    """The gate on a further metric of the comparison with the champion."""
    return f"{metric}_not_worse"


def _no_worse_by(margin: float) -> str:
    """The bound on the lower end of the gain's interval; a log loss that falls by 0.01 is a gain of 0.01."""
    return f">= {-margin!r}" if margin else ">= 0"


def replayable(declaration: ModelDeclaration) -> dict[str, str]:
    """Those of `required` that need neither a server nor a second training: history can answer them."""
    live = {*serving_truths.GATES, REPRODUCIBLE}  # nor the code of then
    return {name: bound for name, bound in required(declaration).items() if name not in live}


def decide(
    declaration: ModelDeclaration, evaluation: Evaluation, code: Sequence[str] = ()
) -> list[GateResult]:
    """Judge an evaluation by the declaration; one result per gate of `required`, in its order.

    Whatever is missing fails, and the message says what is missing.
    """
    return [
        _code(evaluation, code, bound) if name == CODE else _judge(declaration, evaluation, name, bound)
        for name, bound in required(declaration, code).items()
    ]


def _code(evaluation: Evaluation, code: Sequence[str], bound: str) -> GateResult:
    """What was checked of the code that this very candidate was trained from."""
    used = evaluation.training.code
    if used is None:
        told = (
            "the candidate was trained before the code had to pass anything; materialize trained_model again"
        )
        return GateResult(CODE, None, bound, False, told)
    missing = [check for check in code if check not in used.checks]
    if missing:
        told = f"the code it was trained from had not passed {', '.join(missing)}: train it again"
        return GateResult(CODE, float(len(missing)), bound, False, told)
    return GateResult(
        CODE, 0.0, bound, True, f"trained from code {used.tree[:12]}, which passed {', '.join(code)}"
    )


def _judge(declaration: ModelDeclaration, evaluation: Evaluation, name: str, bound: str) -> GateResult:
    if evaluation.model != declaration.name:
        return GateResult(name, None, bound, False, f"the evaluation is about {evaluation.model!r}")
    if evaluation.task != declaration.task:
        said = f"the evaluation is of a {evaluation.task} model, the declaration says {declaration.task}: "
        return GateResult(name, None, bound, False, f"{said}materialize trained_model again")
    compared = {CHAMPION: declaration.champion.metric} | {
        not_worse(one): one for one in declaration.champion.also
    }
    if name in compared:
        return _against_champion(evaluation, name, compared[name], bound)
    if name == PARITY:
        return _parity(evaluation, bound)
    if name == REPRODUCIBLE:
        return _repeated(evaluation, bound)
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
    more = f" ({parity.label_flips} of {parity.rows} classes differ{_engine(evaluation)})"
    return _bounded(PARITY, parity.max_difference, bound, more)


def _engine(evaluation: Evaluation) -> str:
    by_skops = evaluation.training.engine == "skops"
    return "; served by scikit-learn through skops, not ONNX" if by_skops else ""


def _repeated(evaluation: Evaluation, bound: str) -> GateResult:
    found = evaluation.reproducibility
    if found is None:
        missing = "the training was not repeated; materialize evaluation_report again"
        return GateResult(REPRODUCIBLE, None, bound, False, missing)
    remedy = "" if found.passed else "; was code changed since? Materialize trained_model again"
    # Of the same bytes nothing differs, whatever the rounding of an estimator that uses many threads.
    value = 0.0 if found.exact else found.difference
    passed = found.passed and value is not None and Bound.parse(bound).admits(value)
    said = f"the training again, on {found.trained_on} rows: {found.conclusion}{remedy}"
    return GateResult(REPRODUCIBLE, value, bound, passed, said)


def _examined(examined: Examined, name: str, bound: str) -> GateResult:
    value, behind = examined.values().get(name), explanation(examined, name)
    if value is None or math.isnan(value):
        return GateResult(name, None, bound, False, f"{name} is missing: {behind}")
    result = _bounded(name, value, bound)
    return replace(result, message=f"{result.message}: {behind}" if behind else result.message)


def _against_champion(evaluation: Evaluation, name: str, metric: str, bound: str) -> GateResult:
    champion = evaluation.champion
    if champion is None:
        return GateResult(name, None, bound, True, "first release: there is no champion to compare with")
    named = f"champion version {champion.version}"
    if champion.problem:
        problem = f"{named} could not be scored on this holdout: {champion.problem}"
        return GateResult(name, None, bound, False, problem)
    if evaluation.significance is None:
        missing = "the evaluation has no intervals; materialize evaluation_report again"
        return GateResult(name, None, bound, False, missing)
    found = evaluation.significance.of(metric)
    if found is None or found.gain_low is None:
        why = found.reason if found else "the evaluation does not have it"
        missing = f"not enough evidence: {metric} cannot be compared with {named}: {why}"
        return GateResult(name, None, bound, False, missing)
    # Both, so that a bound which was changed after the evaluation is not passed by its verdict.
    passed = found.verdict in PASSING and Bound.parse(bound).admits(found.gain_low)
    message = in_words(found, evaluation.significance, named)
    if not passed and found.verdict in PASSING:
        message = f"{message}, but the lower end of the gain must be {bound}"
    return GateResult(name, found.gain_low, bound, passed, message)
