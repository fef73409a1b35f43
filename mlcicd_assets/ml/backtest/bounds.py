"""Choosing a bound from history: which would have alarmed how often, and what another would have said."""

import math
from collections.abc import Sequence
from dataclasses import replace

from mlcicd_assets.ml.backtest.replay import BacktestError, Finding, RuleHistory, Strain, Suggestion
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.ml.watches import Watches

RATES = (0.0, 0.01, 0.05, 0.10)
_DIGITS = 3  # of a suggested bound
_JUDGED = ("passed", "failed")  # what was planned says nothing about what is usual


def suggestions(history: RuleHistory, rates: Sequence[float] = RATES) -> list[Suggestion]:
    """For each adjustable number of a rule, the tightest bounds that alarm in at most these shares.

    Quantiles of what was seen, rounded outwards; each bound once, however many rates it serves.
    """
    pressed: dict[str, list[Strain]] = {}
    for finding in history.findings:
        for strain in finding.strains if finding.outcome in _JUDGED else ():
            pressed.setdefault(strain.form, []).append(strain)
    found = []
    for form, strains in pressed.items():
        bounds = dict.fromkeys(_tightest(strains, rate) for rate in rates)
        found += [_suggestion(history.rule, form, bound, strains) for bound in bounds if math.isfinite(bound)]
    return found


def _tightest(strains: Sequence[Strain], rate: float) -> float:
    """With the largest values first, as many lie beyond the bound as the rate allows."""
    sign = -1.0 if strains[0].lower else 1.0
    ordered = sorted((sign * strain.value for strain in strains), reverse=True)
    return sign * _outwards(ordered[min(math.floor(rate * len(ordered)), len(ordered) - 1)]) + 0.0


def _outwards(value: float) -> float:
    """Up to a few digits, so that it reads well and the value itself stays inside."""
    if value == 0 or not math.isfinite(value):
        return value
    near = float(f"{value:.{_DIGITS - 1}e}")
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - _DIGITS + 1)
    return near if near >= value else float(f"{near + unit:.{_DIGITS - 1}e}")


def _suggestion(rule: str, form: str, bound: float, strains: Sequence[Strain]) -> Suggestion:
    beyond = [
        strain for strain in strains if (strain.value < bound if strain.lower else strain.value > bound)
    ]
    return Suggestion(rule, form.format(f"{bound:.6g}"), len(beyond), len(strains))


def parse_what_if(text: str) -> tuple[str, str]:
    """Read `roc_auc: >= 0.70`; raises BacktestError."""
    rule, _, bound = text.partition(":")
    if not rule.strip() or not bound.strip():
        raise BacktestError(f"--what-if reads like 'roc_auc: >= 0.70' or 'drift: psi <= 0.1', not {text!r}")
    return rule.strip(), bound.strip()


def with_check(dataset: DatasetDeclaration, rule: str, text: str) -> DatasetDeclaration:
    """The dataset with one line of `checks:` changed or added; raises BacktestError.

    Without a window of its own, the line keeps the declared one's: so only the bound is another.
    """
    declared = dataset.checks.get(rule, "")
    line = _in_window(text, declared)
    checks = {**dataset.checks, rule: line}
    try:
        watches = Watches.parse(checks)
    except ValueError as error:
        raise BacktestError(f"--what-if {error}") from None
    if rule not in dataset.checks and watches.names(on_features=True) and not dataset.features:
        raise BacktestError(f"{dataset.name} declares no features, so there is no {rule}")
    return dataset.model_copy(update={"checks": checks})


def _in_window(text: str, declared: str) -> str:
    if " against " in declared and " against " not in text:
        return f"{text} against {declared.split(' against ')[1]}"
    window = next((part for part in declared.split(" or ")[0].split(" and ") if " sigma of " in part), "")
    if window and text.endswith(" sigma"):
        return f"{text} of {window.split(' sigma of ')[1]}"
    return text


def rejudged(history: RuleHistory, text: str) -> RuleHistory:
    """The same values under another bound; raises BacktestError. What had no value stays as it was."""
    try:
        bound = Bound.parse(text)
    except ValueError as error:
        raise BacktestError(f"--what-if {history.rule}: {error}") from None
    return RuleHistory(history.rule, tuple(_under(bound, finding) for finding in history.findings))


def _under(bound: Bound, finding: Finding) -> Finding:
    if finding.value is None or finding.outcome not in ("passed", "failed", "excused"):
        return replace(finding, threshold=str(bound))
    holds = bound.admits(finding.value)
    said = f"{finding.value:.4g}, {'as' if holds else 'not'} {bound}"
    return replace(finding, outcome="passed" if holds else "failed", threshold=str(bound), reason=said)
