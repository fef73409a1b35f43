"""The forest plot: intervals of both models and of the gain, drawn on each metric's own scale.

An RMSE in minutes and an AUC share no scale; the margin of non-inferiority stands on that of the gain.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import GateResult
from mlcicd_assets.ml.evaluation.metrics import metrics_of
from mlcicd_assets.ml.evaluation.significance import MetricEvidence
from mlcicd_assets.ml.thresholds import Bound
from mlcicd_assets.reports.whiskers import Scale, Whisker


@dataclass(frozen=True)
class Line:
    """One metric of the forest plot."""

    evidence: MetricEvidence
    gated: bool
    more: bool  # whether more is better
    mine: Whisker | None
    theirs: Whisker | None
    gain: Whisker | None
    zero: float  # where no difference is
    margin: float | None  # where it becomes inferior; None where nothing is declared
    bound: float | None  # the gate's threshold, where there is no champion to look at instead


def forest(evaluation: Evaluation, gates: Sequence[GateResult]) -> list[Line]:
    """Every metric with a value: those that decide first, then the gated ones."""
    known = metrics_of(evaluation.task)
    gated = {gate.name: gate for gate in gates}
    lines = [
        _line(one, gated.get(one.metric), more=known.get(one.metric, True))
        for one in _evidence(evaluation)
        if one.value is not None or one.decides or one.metric in gated
    ]
    return sorted(lines, key=lambda line: (not line.evidence.decides, not line.gated))


def _evidence(evaluation: Evaluation) -> list[MetricEvidence]:
    """As it was judged; plain values of an evaluation that has no intervals."""
    if evaluation.significance:
        return evaluation.significance.metrics
    theirs = evaluation.champion.metrics if evaluation.champion else {}
    return [
        MetricEvidence(metric=name, value=value, champion=theirs.get(name), reason="it has no intervals")
        for name, value in evaluation.metrics.items()
    ]


def _line(one: MetricEvidence, gate: GateResult | None, *, more: bool) -> Line:
    known, alone = one.low is not None, one.champion is None
    limit = Bound.parse(gate.bound).limit if gate and alone else None
    ends = [one.low, one.value, one.high, one.champion_low, one.champion, one.champion_high]
    # One model alone is read against what there could be, two against each other.
    values = Scale([*ends, 0.0, 1.0, limit] if alone else ends)
    gains = Scale.about_zero([one.gain_low, one.gain, one.gain_high, one.margin])
    return Line(
        evidence=one,
        gated=gate is not None,
        more=more,
        mine=values.whisker(one.low, one.value, one.high) if known else None,
        theirs=values.whisker(one.champion_low, one.champion, one.champion_high) if known else None,
        gain=gains.whisker(one.gain_low, one.gain, one.gain_high),
        zero=gains(0.0),
        margin=gains(-one.margin) if one.margin else None,
        bound=None if limit is None else values(limit),
    )
