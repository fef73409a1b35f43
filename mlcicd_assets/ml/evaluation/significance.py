"""Is the challenger better than the champion, or is that chance? One verdict for each metric.

The interval of the difference decides, as in trials of non-inferiority (Piaggio et al., CONSORT 2012):

    better         the whole interval of the gain lies above 0
    non_inferior   it lies above -margin
    worse          it lies below 0, and reaches below -margin
    inconclusive   anything else: not enough evidence, which blocks as `worse` does

Several metrics decide together by an intersection-union test (Berger 1982): each must be at least
non-inferior by its own margin at the full level, and then no correction for their number is due.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Literal

import numpy as np

from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.counts import mcnemar
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.metrics import WITHOUT_INTERVAL, metrics_of
from mlcicd_assets.ml.evaluation.slices import Scored
from mlcicd_assets.ml.evaluation.spreads import Sampling, Spread, spreads

Verdict = Literal["better", "non_inferior", "worse", "inconclusive"]
PASSING = ("better", "non_inferior")
# Of the power with which `rows_needed` would decide.
POWER = 0.8
# Below these an interval is a guess: of each class where one counts by itself, and of numbers.
MIN_OF_EACH_CLASS = 10
MIN_VALUES = 30
_MACRO = frozenset({"balanced_accuracy", "f1_macro", "roc_auc_ovr"})

Metrics = Mapping[str, float | None]


class MetricEvidence(Evidence):
    """One metric of both models on the same rows. A gain is positive where the challenger is better."""

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    champion: float | None = None
    champion_low: float | None = None
    champion_high: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    standard_error: float | None = None  # of the gain
    method: str = ""  # DeLong, multinomial bootstrap or bootstrap; empty without an interval
    p_value: float | None = None  # of McNemar's exact test, for accuracy
    margin: float = 0.0
    decides: bool = False  # whether the declaration names it
    verdict: Verdict | None = None  # None without a champion to compare with
    rows_needed: int | None = None  # holdout rows that would decide what is inconclusive
    reason: str = ""  # why there is no interval


class Significance(Evidence):
    """All metrics of the task with their intervals, and what they say together."""

    confidence: float
    resamples: int
    seed: int
    rows: int
    classes: dict[str, int] = {}  # rows by class; empty of a regression
    verdict: Verdict | None = None
    metrics: list[MetricEvidence]

    def of(self, metric: str) -> MetricEvidence | None:
        """The evidence about one metric."""
        return next((one for one in self.metrics if one.metric == metric), None)


def judge(
    mine: Scored,
    theirs: Scored | None,
    *,
    metrics: Metrics,
    champion: Metrics,
    rule: ChampionRule,
    seed: int,
) -> Significance:
    """Give every metric of the task its interval, and compare where there is a champion.

    `metrics` and `champion` are the values as measured on the same rows. A holdout too small to say anything
    is an outcome: its verdict is inconclusive, and the reason is named.
    """
    truth = mine.truth
    how = Sampling(rule.confidence, rule.resamples, seed)
    known = [one for one in (mine, theirs) if one is not None]
    sound = len(truth) > 0 and all(np.isfinite(one.scores).all() for one in known)
    found = spreads(mine, theirs, how) if sound and not _lacking("", mine) else {}
    task = mine.target.task
    evidence = []
    for name, more in metrics_of(task).items():
        lacking = _lacking(name, mine)
        values = metrics.get(name), champion.get(name) if theirs else None
        evidence.append(
            _evidence(
                name,
                values,
                None if lacking else found.get(name),
                why=lacking or _undefined(name, sound=sound),
                rule=rule,
                rows=len(truth),
                more=more,
                compared=theirs is not None,
            )
        )
    if theirs is not None and task != "regression":
        answers = [one.target.answers(one.scores) == truth for one in (mine, theirs)]
        evidence = [_with_mcnemar(one, mcnemar(*answers), rule) for one in evidence]
    return Significance(
        confidence=rule.confidence,
        resamples=rule.resamples,
        seed=seed,
        rows=len(truth),
        classes=_classes(mine),
        verdict=together([one for one in evidence if one.decides], rule) if theirs else None,
        metrics=evidence,
    )


def together(evidence: list[MetricEvidence], rule: ChampionRule) -> Verdict:
    """The verdict of all metrics that decide: the worst of them, and `better` by the first metric alone."""
    said = {one.metric: one.verdict or "inconclusive" for one in evidence}
    verdicts = [said.get(name, "inconclusive") for name in rule.margins]
    for blocking in ("worse", "inconclusive"):
        if blocking in verdicts:
            return blocking
    return verdicts[0]


def in_words(one: MetricEvidence, of: Significance, champion: str) -> str:
    """What was found about one metric, for people, and what would decide it."""
    if one.value is None or one.champion is None or one.gain is None:
        return f"not enough evidence: {one.reason}"
    found = (
        f"{one.metric} is {one.value:.4g}, {champion} has {one.champion:.4g} on the same {of.rows:,} rows: "
        f"a gain of {one.gain:+.4g} ({100 * of.confidence:.4g} % interval {one.gain_low:+.4g} to "
        f"{one.gain_high:+.4g}, {one.method})"
    )
    margin = f"the margin of {one.margin:g}" if one.margin else "0"
    said = {
        "better": "better: {}",
        "non_inferior": f"not worse by more than {one.margin:g}: {{}}",
        "worse": f"worse: {{}}, wholly below 0 and not above {margin}; the champion stays",
        "inconclusive": f"not enough evidence: {{}} reaches below {margin} and above 0",
    }
    told = said[one.verdict or "inconclusive"].format(found)
    if one.verdict != "inconclusive":
        return told
    if one.rows_needed is None:
        return f"{told}; no number of rows decides a gain of {one.gain:+.4g}: declare a margin"
    return (
        f"{told}; about {one.rows_needed:,} rows like these would decide (with a power of {POWER:.0%}, if "
        "the true gain is the one seen): declare a longer holdout or a wider margin, or wait for labels"
    )


def decide_one(low: float, high: float, margin: float) -> Verdict:
    """What the interval of a gain says."""
    if low > 0:
        return "better"
    if low >= -margin:
        return "non_inferior"
    return "worse" if high < 0 else "inconclusive"


def rows_needed(gain: float, error: float, margin: float, *, rows: int, confidence: float) -> int | None:
    """How many rows like these would decide with a power of 80 %, if the true gain is the observed one.

    n = n₀ · ((z₁₋α/₂ + z_power) · SE / distance)², for a standard error falls with the root of n (Julious,
    "Sample sizes for clinical trials with normal data", 2004). The distance is from the gain to the margin
    that it would have to clear, or to 0 where it is worse already. None where no number would decide.
    """
    distance = gain + margin if gain > -margin else -gain
    if distance <= 0 or error <= 0:
        return None
    normal = NormalDist()
    reach = (normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(POWER)) * error / distance
    needed = rows * reach**2
    return max(math.ceil(needed), rows + 1) if math.isfinite(needed) else None


def _evidence(
    name: str,
    values: tuple[float | None, float | None],
    spread: Spread | None,
    *,
    why: str,
    rule: ChampionRule,
    rows: int,
    more: bool,
    compared: bool,
) -> MetricEvidence:
    value, champion = values
    plain = MetricEvidence(
        metric=name,
        value=value,
        champion=champion,
        margin=rule.margins.get(name, 0.0),
        decides=name in rule.margins,
        verdict="inconclusive" if compared and name in rule.margins else None,
        reason=why,
    )
    if value is None or spread is None:
        return plain
    low, high = _around(value, spread.mine)
    alone = plain.model_copy(update={"low": low, "high": high, "method": spread.method, "reason": ""})
    if champion is None or spread.theirs is None or spread.difference is None or spread.error is None:
        lost = "the champion has no value for it on this holdout" if compared else ""
        return alone.model_copy(update={"reason": lost})
    their_low, their_high = _around(champion, spread.theirs)
    down, up = spread.difference if more else (-spread.difference[1], -spread.difference[0])
    gain = value - champion if more else champion - value
    down, up = _around(gain, (down, up))
    verdict = decide_one(down, up, plain.margin)
    open_ = verdict == "inconclusive"
    needed = rows_needed(gain, spread.error, plain.margin, rows=rows, confidence=rule.confidence)
    return alone.model_copy(
        update={
            "champion_low": their_low,
            "champion_high": their_high,
            "gain": gain,
            "gain_low": down,
            "gain_high": up,
            "standard_error": spread.error,
            "verdict": verdict,
            "rows_needed": needed if open_ else None,
        }
    )


def _around(value: float, ends: tuple[float, float]) -> tuple[float, float]:
    """An interval never leaves out what was measured, however skewed the resamples are."""
    return min(ends[0], value) + 0.0, max(ends[1], value) + 0.0


def _with_mcnemar(one: MetricEvidence, p_value: float, rule: ChampionRule) -> MetricEvidence:
    """Accuracy is `better` only where the exact test agrees: resamples of few differing rows overclaim."""
    if one.metric != "accuracy" or not one.method:
        return one
    unproven = one.verdict == "better" and p_value >= 1 - rule.confidence
    return one.model_copy(update={"p_value": p_value, "verdict": "non_inferior" if unproven else one.verdict})


def _lacking(name: str, mine: Scored) -> str:
    """What the holdout lacks for an interval of this metric (without a name: of any); empty when nothing."""
    if mine.target.task == "regression":
        few = len(mine.truth) < MIN_VALUES
        return f"the holdout has {len(mine.truth)} rows, an interval needs {MIN_VALUES}" if few else ""
    counts = _classes(mine)
    poor = {name_: rows for name_, rows in counts.items() if rows < MIN_OF_EACH_CLASS}
    every = mine.target.task == "binary" or name in _MACRO
    if not poor or (not every and len(counts) - len(poor) >= 2):
        return ""
    said = ", ".join(f"{rows} rows of class {name_}" for name_, rows in poor.items())
    return f"the holdout has {said}; an interval needs {MIN_OF_EACH_CLASS} of each"


def _classes(mine: Scored) -> dict[str, int]:
    if mine.target.task == "regression":
        return {}
    counts = np.bincount(mine.truth, minlength=len(mine.target.classes))
    return {str(name): int(rows) for name, rows in zip(mine.target.classes, counts, strict=True)}


def _undefined(name: str, *, sound: bool) -> str:
    if name in WITHOUT_INTERVAL:
        return "no interval is made for it"
    return "this holdout does not define it" if sound else "a score is no number"
