"""How a model is watched in production, as it is declared: `monitor` of a model."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from mlcicd_assets.ml.data.dynamic_thresholds import DriftRule
from mlcicd_assets.ml.data.seasons import USUAL, Season
from mlcicd_assets.ml.declared import BoundText, Declaration, DurationText
from mlcicd_assets.ml.monitoring.windows import window_length
from mlcicd_assets.ml.tasks import Task
from mlcicd_assets.ml.thresholds import Bound

SCORES, FEATURES = "scores", "features"
DROP = 0.2
_EXAMPLE = (
    "{scores: 'psi <= 0.2', features: 'psi <= 0.2', features.weekday: 'ks <= 0.1 against same weekday'}"
)


class PerformanceRule(Declaration):
    """What labelled performance must keep."""

    metric: str = Field(default="", description="Of the model's task; by default champion.metric.")
    bound: BoundText | None = Field(default=None, description="'>= 0.40': what must be kept.")
    drop: float | None = Field(
        default=None,
        gt=0,
        description="Share of the evaluation's own value that may be lost; 0.2 where no bound is declared.",
    )
    decide_on: Literal["interval", "estimate"] = Field(
        default="interval", description="interval: violated only where the whole interval lies beyond."
    )

    @model_validator(mode="after")
    def _one(self) -> "PerformanceRule":
        if self.bound is not None and self.drop is not None:
            raise ValueError("performance has a bound, '>= 0.40', or a drop, 0.2; not both")
        return self

    def limit(self, evaluated: float | None, *, more_is_better: bool) -> Bound | None:
        """The bound: the declared one, or from the evaluation's value; None where there is neither."""
        if self.bound is not None:
            return Bound.parse(self.bound)
        if evaluated is None:
            return None
        lost = (self.drop or DROP) * abs(evaluated)
        kept = evaluated - lost if more_is_better else evaluated + lost
        return Bound(">=" if more_is_better else "<=", float(f"{kept:.4g}"))  # as it is told


class Violations(Declaration):
    """How many of the last judged windows must be violated, the newest among them."""

    needed: int = Field(default=2, ge=1, description="So many violated windows …")
    of: int = Field(default=5, ge=1, description="… among so many of the last that could be judged.")

    @model_validator(mode="after")
    def _possible(self) -> "Violations":
        if self.needed > self.of:
            raise ValueError(f"violations needs {self.needed} of {self.of} windows; needed is at most of")
        return self


class TrafficRule(Declaration):
    """What users may see of errors and waiting."""

    error_rate: BoundText | None = Field(default="<= 0.01", description="Share of requests with a 5xx.")
    latency_p99_ms: BoundText | None = Field(default=None, description="As the user waits; null: not judged.")


class Monitor(Declaration):
    """Windows, what each must keep, and how many violations ask for something."""

    window: DurationText = Field(default="1d", description="Length of a window: '1h', '1d', '1w'.")
    clock: Literal["record", "request"] = Field(
        default="record",
        description="record: the dataset's `time`, where requests carry it; request: when it was answered.",
    )
    drift: dict[str, str] = Field(
        default_factory=lambda: {SCORES: "psi <= 0.2", FEATURES: "psi <= 0.2"},
        description=f"What may change against the reference: {_EXAMPLE}; {{}} for nothing.",
    )
    ignore: list[str] = Field(
        default_factory=list, description="Features that are not looked at: they follow the calendar."
    )
    reference: Literal["holdout", "first"] = Field(
        default="holdout",
        description="holdout: what the version was evaluated on; first: its first window with enough rows.",
    )
    performance: PerformanceRule | None = PerformanceRule()
    traffic: TrafficRule = TrafficRule()
    violations: Violations = Violations()
    recover: int = Field(
        default=2, ge=1, description="Windows in a row without violation that end an episode."
    )
    minimum_rows: int = Field(default=200, ge=20, description="Rows that drift needs.")
    minimum_labels: int = Field(default=100, ge=20, description="Labelled rows that performance needs.")
    labelled: float = Field(
        default=0.8, gt=0, le=1, description="Share of a window's rows whose label must have come."
    )
    patience: DurationText = Field(
        default="30d", description="So long after its end a window waits for labels, and is computed again."
    )
    silence: int = Field(
        default=5, ge=1, description="Windows in a row without evidence, from which a person is told."
    )
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Of every interval.")
    page: Literal["violated", "always", "never"] = Field(
        default="violated", description="When Evidently's page of a window is drawn."
    )

    @field_validator("window")
    @classmethod
    def _whole(cls, value: str) -> str:
        window_length(value)
        return value

    @field_validator("drift")
    @classmethod
    def _readable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            kind, _, feature = name.partition(".")
            if kind not in {SCORES, FEATURES} or (kind == SCORES and feature):
                raise ValueError(f"drift is of scores, features or features.NAME, not {name!r}: {_EXAMPLE}")
            rule = DriftRule.parse(text)
            if rule.window.dates or rule.window.first or rule.window.count != USUAL.count:
                raise ValueError(
                    f"drift.{name}: the reference is chosen by 'reference'; here stands at most "
                    f"'against same weekday' or 'against same month', not {text!r}"
                )
        return value

    def rule_of(self, feature: str) -> DriftRule | None:
        """What a feature must keep; None where nothing is asked of it."""
        text = self.drift.get(f"{FEATURES}.{feature}") or self.drift.get(FEATURES)
        return DriftRule.parse(text) if text and feature not in self.ignore else None

    @property
    def score_rule(self) -> DriftRule | None:
        """What the scores must keep."""
        return DriftRule.parse(self.drift[SCORES]) if SCORES in self.drift else None


def season_of(rule: DriftRule) -> Season | None:
    """Of which rows of the reference the rule speaks: all, or those of the same weekday or month."""
    return rule.window.season


def monitor_problem(monitor: Monitor, task: Task, metric: str, *, retrain_on_performance: bool) -> str:
    """What does not fit the model's task and triggers; empty where all fits. `metric` is the champion's."""
    from mlcicd_assets.ml.evaluation.metrics import WITHOUT_INTERVAL, metrics_of

    rule = monitor.performance
    if rule is None:
        return (
            "retrain.performance needs monitor.performance, which is null" if retrain_on_performance else ""
        )
    name = rule.metric or metric
    known = sorted(set(metrics_of(task)) - {"equal_opportunity_gap", "expected_cost"})
    if name not in known:
        return f"monitor.performance.metric {name!r} cannot be watched; it is one of: {', '.join(known)}"
    if rule.decide_on == "interval" and name in WITHOUT_INTERVAL:
        return f"monitor.performance: {name} has no interval; declare 'decide_on: estimate'"
    return ""
