"""Replaying a dataset's gates: the contract and every line of `checks:`, with earlier partitions only.

The decisions are those of `contracts` and `data_checks`; here is only who was known when.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from mlcicd_assets.ml.backtest.replay import Finding, Outcome, Strain
from mlcicd_assets.ml.data.contracts import ContractBroken, ContractReport, examine
from mlcicd_assets.ml.data.data_checks import judge_drift, judge_numbers
from mlcicd_assets.ml.data.drift import FeatureDrift
from mlcicd_assets.ml.data.dynamic_thresholds import Judgement, Rule
from mlcicd_assets.ml.data.feature_table import LABEL, assemble, model_columns
from mlcicd_assets.ml.data.features import FeaturesError, compute_features
from mlcicd_assets.ml.data.labels import LabelError
from mlcicd_assets.ml.data.partition_statistics import Profiles, distributions, summarise
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.watches import Watches

CONTRACT, QUALITY = "contract", "quality"
_DRIFT = ("drift", "label_drift")
_WORST: tuple[Outcome, ...] = ("failed", "excused", "passed", "cold start", "not enough evidence")


@dataclass(frozen=True)
class Part:
    """One stored partition."""

    key: str
    records: pl.LazyFrame
    until: datetime | None  # its end, for freshness


@dataclass
class DataReplay:
    """What the contract said of each partition, and the statistics of those that it accepted."""

    keys: list[str] = field(default_factory=list)
    reports: dict[str, ContractReport] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # why nothing was accepted
    records: dict[str, Profiles] = field(default_factory=dict)
    features: dict[str, Profiles] = field(default_factory=dict)


def replay(
    dataset: DatasetDeclaration,
    contract: Any,
    function: Callable[..., Any] | None,
    parts: Iterable[Part],
    *,
    references: Mapping[str, pl.LazyFrame],
    lookups: Mapping[str, pl.LazyFrame],
) -> DataReplay:
    """Pass each partition, oldest first, through the contract and the features function.

    One partition is in memory at a time; reference tables are taken as they stand now. Raises
    ContractBroken when the contract itself cannot be used.
    """
    found = DataReplay()
    for part in parts:
        found.keys.append(part.key)
        examined = examine(part.records, contract, dataset, references, part.until)
        found.reports[part.key] = examined.report
        if not examined.report.passed:
            found.refused[part.key] = examined.report.summary()
            continue
        try:
            kept, _ = examined.part()
        except ContractBroken as error:
            found.refused[part.key] = str(error)
            continue
        found.records[part.key] = summarise(kept)
        if function:
            _add_features(found, part.key, dataset, function, kept, lookups)
    return found


def _add_features(
    found: DataReplay,
    key: str,
    dataset: DatasetDeclaration,
    function: Callable[..., Any],
    kept: pl.DataFrame,
    lookups: Mapping[str, pl.LazyFrame],
) -> None:
    try:
        frame = assemble(
            dataset, kept, compute_features(function, kept, dict(lookups), hidden=dataset.hidden)
        )
    except (FeaturesError, LabelError) as error:
        found.refused[key] = str(error)
        return
    columns = [*model_columns(frame.columns), *([LABEL] if LABEL in frame.columns else [])]
    found.features[key] = distributions(frame, columns)


def judge(dataset: DatasetDeclaration, replayed: DataReplay, wanted: Sequence[str]) -> list[Finding]:
    """Every rule about each wanted partition; `dataset` may declare other `checks:` than were replayed."""
    asked = set(wanted)
    watches = Watches.parse(dataset.checks)
    on_records = _checked(dataset, watches.names(on_features=False), replayed.keys, replayed.records, None)
    hard = {
        finding.partition
        for finding in on_records
        if finding.outcome == "failed" and finding.rule.split(".")[0] in dataset.hard_checks
    }
    reached = {key: profiles for key, profiles in replayed.features.items() if key not in hard}
    on_features = _checked(dataset, watches.names(on_features=True), replayed.keys, reached, asked)
    findings = [*_contract(replayed), *on_records, *on_features]
    return [_explained(finding, replayed) for finding in findings if finding.partition in asked]


def _explained(finding: Finding, replayed: DataReplay) -> Finding:
    why = replayed.refused.get(finding.partition)
    if finding.outcome != "not reached" or not why:
        return finding
    return Finding(finding.rule, finding.partition, "not reached", None, finding.threshold, why)


def _contract(replayed: DataReplay) -> list[Finding]:
    """Hard and soft as one rule each, then those rules that were broken at least once."""
    findings = []
    broken: dict[str, str] = {}
    for tier, name in (("hard", CONTRACT), ("soft", QUALITY)):
        for key, report in replayed.reports.items():
            said = [failure for failure in report.failures if failure.tier == tier]
            broken |= {_named(failure.column, failure.rule): tier for failure in said}
            nothing_left = tier == "hard" and report.passed and key not in replayed.records
            reason = "; ".join(failure.message for failure in said) or f"every {tier} rule holds"
            reason = replayed.refused[key] if nothing_left else reason
            outcome: Outcome = "failed" if said or nothing_left else "passed"
            threshold = f"every {tier} rule"
            findings.append(Finding(name, key, outcome, float(len(said)), threshold, reason))
    for rule, tier in broken.items():
        findings += [_rule(rule, tier, key, report) for key, report in replayed.reports.items()]
    return findings


def _named(column: str | None, rule: str) -> str:
    return f"{column}.{rule}" if column else rule


def _rule(rule: str, tier: str, key: str, report: ContractReport) -> Finding:
    for failure in report.failures:
        if _named(failure.column, failure.rule) == rule:
            strains = (Strain("<= {}", failure.share),)
            return Finding(rule, key, "failed", failure.share, f"{tier} rule", failure.message, strains)
    return Finding(rule, key, "passed", 0.0, f"{tier} rule", "holds", (Strain("<= {}", 0.0),))


def _checked(
    dataset: DatasetDeclaration,
    checks: Sequence[str],
    keys: Sequence[str],
    statistics: Mapping[str, Profiles],
    asked: set[str] | None,
) -> list[Finding]:
    """The checks of one stage. A partition sees those before it that were accepted, and no others."""
    findings: list[Finding] = []
    known: dict[str, Profiles] = {}
    for key in sorted(keys):
        if key not in statistics:
            findings += _unreached(dataset, checks, key)
            continue
        known[key] = statistics[key]
        for check in checks if asked is None or key in asked else ():
            if check in _DRIFT:
                findings += _drift(dataset, check, key, known)
            else:
                findings += _numbers(dataset, check, key, known)
    return findings


def _unreached(dataset: DatasetDeclaration, checks: Sequence[str], key: str) -> list[Finding]:
    reason = "an earlier gate held the partition back"
    lines = [line for check in checks for line in Watches.parse(dataset.checks).of(check)]
    return [
        Finding(_line(line.check, line.column), key, "not reached", None, line.text, reason) for line in lines
    ]


def _line(check: str, column: str | None) -> str:
    """The line's name in `checks:`."""
    return f"{check}.{column}" if column else check


def _numbers(
    dataset: DatasetDeclaration, check: str, key: str, known: Mapping[str, Profiles]
) -> list[Finding]:
    lines = {line.column for line in Watches.parse(dataset.checks).of(check)}
    groups: dict[str, list[Judgement]] = {}
    for judgement in judge_numbers(dataset, check, key, known):
        column = judgement.subject.partition(" ")[2]
        name = _line(check, column if column in lines else None)
        groups.setdefault(name, []).append(judgement)
    return [_worst_number(name, key, judged) for name, judged in groups.items()]


def _worst_number(rule: str, key: str, judged: Sequence[Judgement]) -> Finding:
    strains = _merged(strain for one in judged for strain in _strains(one))
    worst = min(judged, key=lambda one: (_WORST.index(one.outcome), -_sigmas(one)))
    limits = worst.limits
    threshold = f"{limits.low:.6g} … {limits.high:.6g} ({worst.rule})" if limits else worst.rule
    of = worst.subject.partition(" ")[2]
    reason = f"{of}: {worst.reason}" if of and of != rule.partition(".")[2] else worst.reason
    return Finding(rule, key, worst.outcome, worst.value, threshold, reason, strains)


def _sigmas(one: Judgement) -> float:
    """How many of the rule's sigmas the value is away; 0 where there is no band."""
    if one.limits is None or one.value is None:
        return 0.0
    away = abs(one.value - one.limits.median)
    unit = (one.limits.high - one.limits.low) / 2 / (Rule.parse(one.rule).sigmas or 1.0)
    return away / unit if unit > 0 else (float("inf") if away else 0.0)


def _strains(one: Judgement) -> list[Strain]:
    if one.value is None or one.rule == "unchanged":
        return []
    rule = Rule.parse(one.rule)
    found = [Strain(f"{bound.sign[0]}= {{}}", one.value) for bound in rule.bounds]
    if one.limits:
        harmless = any(bound.admits(one.value) for bound in rule.enough)
        found.append(Strain("within {} sigma", 0.0 if harmless else _sigmas(one)))
        unusual = not one.limits.low <= one.value <= one.limits.high
        upper = any(bound.sign[0] == "<" for bound in rule.enough)
        found += [Strain("or <= {}", one.value if unusual else 0.0)] if upper else []
    return found


def _merged(strains: Iterable[Strain]) -> tuple[Strain, ...]:
    """The hardest of each form."""
    worst: dict[str, Strain] = {}
    for strain in strains:
        before = worst.get(strain.form)
        if before is None or (strain.value < before.value) == strain.lower:
            worst[strain.form] = strain
    return tuple(worst.values())


def _drift(dataset: DatasetDeclaration, check: str, key: str, known: Mapping[str, Profiles]) -> list[Finding]:
    judged = judge_drift(dataset, check, key, known)
    own = {line.column for line in Watches.parse(dataset.checks).of(check)}
    groups: dict[str, list[FeatureDrift]] = {}
    for feature in judged.features:
        groups.setdefault(_line(check, feature.name if feature.name in own else None), []).append(feature)
    return [
        _worst_feature(rule, key, features, excused=judged.outcome == "excused")
        for rule, features in groups.items()
    ]


def _worst_feature(rule: str, key: str, features: Sequence[FeatureDrift], *, excused: bool) -> Finding:
    compared = [feature for feature in features if feature.effect]
    tolerated = features[0].rule
    threshold = f"{tolerated.metric} {tolerated.bound} against {tolerated.window}"
    if not compared:
        cold = [feature for feature in features if feature.outcome == "cold start"]
        why = (cold or list(features))[0]
        outcome: Outcome = "cold start" if cold else "not enough evidence"
        return Finding(rule, key, outcome, None, threshold, why.reason)
    drifted = [feature for feature in compared if feature.outcome == "drifted"]
    # What chance explains does not count, however large its effect.
    counted = [feature.size for feature in compared if feature.significant]
    size = max(counted, default=0.0)
    outcome = ("excused" if excused else "failed") if drifted else "passed"
    listed = ", ".join(f"{feature.name} {feature.size:.3f}" for feature in drifted[:8])
    reason = listed or f"none of {len(compared)} drifted"
    strains = (Strain(f"{tolerated.metric} <= {{}}", size),)
    return Finding(rule, key, outcome, size, threshold, reason, strains)
