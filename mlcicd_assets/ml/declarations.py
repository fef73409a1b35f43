"""What a person declares: the plain, closed specification behind `defs.yaml`.

The components are thin faces over these classes; the command line reads the same files without Dagster.
"""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mlcicd_assets.ml.card import Card
from mlcicd_assets.ml.declared import BoundText, Declaration, DurationText, Folder, Name, Reference
from mlcicd_assets.ml.evaluation.champion_rule import ChampionRule
from mlcicd_assets.ml.evaluation.costs import Costs
from mlcicd_assets.ml.evaluation.plans import FairnessPlan, RobustnessPlan, SlicePlan
from mlcicd_assets.ml.evaluation.serving_declaration import Serving
from mlcicd_assets.ml.governance import ApprovalRule, DataRetention, Retention
from mlcicd_assets.ml.monitoring.declaration import Monitor, monitor_problem
from mlcicd_assets.ml.prediction_logging import PredictionLog, Treatment
from mlcicd_assets.ml.retrain import Retrain
from mlcicd_assets.ml.rollouts import Rollout
from mlcicd_assets.ml.tasks import LabelKind, Task
from mlcicd_assets.ml.thresholds import parse_duration
from mlcicd_assets.ml.training.cost import Rates
from mlcicd_assets.ml.training.repetition import Repetition
from mlcicd_assets.ml.training.tune import Tune
from mlcicd_assets.ml.watches import Watches


class Source(Declaration):
    """Where a partition's records come from: exactly one of files, sql and python."""

    files: str = Field(
        default="",
        description="Below the home, 'landing/flights/{partition}.parquet', or an address: 's3://bucket/…'.",
    )
    sql: str = Field(default="", description="A query; :partition, :start and :end are the partition's.")
    url_env: str = Field(default="", description="For sql: the environment variable with the database's URL.")
    watermark: str = Field(
        default="",
        description="For sql: a query that gives each partition, and what changes when its records do.",
    )
    python: Reference | None = Field(
        default=None, description="A function (partition, start, end) -> polars frame: 'dataset.py:read'."
    )

    @field_validator("files")
    @classmethod
    def _readable(cls, value: str) -> str:
        if value and Path(value).suffix not in {".parquet", ".csv", ".jsonl", ".ndjson"}:
            raise ValueError(f"files end in .parquet, .csv, .jsonl or .ndjson, not {value!r}")
        if Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError(f"files are named relative to the home, without '..', not {value!r}")
        return value

    @model_validator(mode="after")
    def _one(self) -> "Source":
        given = [name for name in ("files", "sql", "python") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"a source has exactly one of files, sql and python, not {', '.join(given) or 'none'}"
            )
        if bool(self.sql) != bool(self.url_env):
            raise ValueError("sql comes with url_env, the environment variable with the database's URL")
        if self.watermark and not self.sql:
            raise ValueError("'watermark' is of a sql source: of files their content tells")
        return self

    @property
    def named(self) -> str:
        """How people call it."""
        return self.files or (f"a query of {self.url_env}" if self.sql else str(self.python))

    @property
    def bounded(self) -> bool:
        """Whether it tells partitions apart."""
        if self.sql:
            return re.search(r"(?<!:):(partition|start|end)\b", self.sql) is not None
        return self.python is not None or "{partition}" in self.files


class Label(Declaration):
    """The column to learn, and when it is known."""

    column: Name
    kind: LabelKind = Field(
        default="binary",
        description="binary: 0 and 1; classes: whole numbers or text, one of many; number: for a regression.",
    )
    positive: BoundText | None = Field(
        default=None,
        description="Makes a class of a number: '> 15' labels a row 1 where the column exceeds 15.",
    )
    arrives: Name | None = Field(
        default=None,
        description="Column with the time the label became known; absent: known with the record.",
    )

    @model_validator(mode="after")
    def _one_meaning(self) -> "Label":
        if self.positive is not None and self.kind != "binary":
            raise ValueError(f"'positive' makes a binary label, not one of kind {self.kind!r}; leave one out")
        return self


class Freshness(Declaration):
    """How near to the end of its partition the newest record must be."""

    within: DurationText = Field(description="'6h': the newest record is at most so much older than the end.")
    tier: Literal["hard", "soft"] = Field(default="soft", description="hard: blocks; soft: warns.")


class PlannedException(Declaration):
    """Days on which named checks may fail, because somebody knows why."""

    first: date = Field(alias="from", description="The first day.")
    last: date = Field(alias="to", description="The last day.")
    checks: list[str] = Field(min_length=1, description="Names of checks: [row_count, drift].")
    reason: str = Field(min_length=1, description="Why: recorded wherever the exception is used.")

    @model_validator(mode="after")
    def _ordered(self) -> "PlannedException":
        if self.last < self.first:
            raise ValueError(f"an exception ends after it begins, not from {self.first} to {self.last}")
        return self


class DatasetDeclaration(Declaration):
    """A partitioned stream of records with a contract, shared by many models."""

    name: Name
    owner: str = Field(description="Who answers for it: 'team:risk-data' or an e-mail address.")
    description: str = ""
    partitions: Literal["hourly", "daily", "weekly", "monthly", "dynamic", "none"] = "none"
    start: date | None = Field(default=None, description="First partition; required with partitions.")
    source: Source
    upstream: Reference | None = Field(
        default=None,
        description="For demonstrations: a function (folder, partitions) -> paths that lets files land.",
    )
    contract: Reference = Field(description="A pandera (polars) DataFrameModel: 'dataset.py:Flights'.")
    features: Reference | None = Field(
        default=None,
        description="LazyFrame -> LazyFrame, the one path for training and serving; lookups come by keyword.",
    )
    lookups: list[Name] = Field(
        default_factory=list, description="Reference datasets that features may join."
    )
    keys: list[Name] = Field(default_factory=list, description="Columns that identify a record.")
    time: Name | None = Field(default=None, description="When the event happened.")
    label: Label | None = None
    after_event: list[Name] = Field(
        default_factory=list, description="Columns known only after the event: never features."
    )
    protected: list[Name] = Field(default_factory=list, description="Attributes for fairness, not features.")
    personal: dict[Name, Treatment] = Field(
        default_factory=dict,
        description="Columns about persons: {email: hash, name: omit} in what servers record of predictions.",
    )
    references: dict[str, str] = Field(
        default_factory=dict, description="Referential integrity: {tailnum: planes.tailnum}."
    )
    not_leaking: list[str] = Field(
        default_factory=list, description="Features that may decide the label alone: a person looked."
    )
    freshness: Freshness | None = Field(
        default=None, description="{within: 6h, tier: soft}: how old the newest record may be at the end."
    )
    checks: dict[str, str] = Field(
        default_factory=dict, description="What is watched: {row_count: 'within 4 sigma of same weekday'}."
    )
    hard_checks: list[str] = Field(
        default_factory=list, description="Those of `checks` that block; the others warn."
    )
    exceptions: list[PlannedException] = Field(
        default_factory=list, description="Planned exceptions to `checks`, by date."
    )
    minimum_history: int = Field(
        default=5, ge=2, description="Accepted earlier partitions that a threshold from history needs."
    )
    drift_page: Literal["drifted", "always", "never"] = Field(
        default="drifted", description="When the drift check draws Evidently's page."
    )
    retention: DataRetention = DataRetention()

    @field_validator("checks")
    @classmethod
    def _known_checks(cls, checks: dict[str, str]) -> dict[str, str]:
        Watches.parse(checks)
        return checks

    @model_validator(mode="after")
    def _checks_fit(self) -> "DatasetDeclaration":
        watches = Watches.parse(self.checks)
        declared = [*watches.names(on_features=False), *watches.names(on_features=True)]
        asked = [*self.hard_checks, *(name for planned in self.exceptions for name in planned.checks)]
        for name in asked:
            if name not in declared:
                raise ValueError(
                    f"hard_checks and exceptions name checks that are declared "
                    f"({', '.join(declared) or 'none'}), not {name!r}"
                )
        if self.label and self.label.kind != "binary" and "positive_share" in declared:
            raise ValueError(
                f"positive_share is of a binary label, not of kind {self.label.kind!r}; watch label_drift"
            )
        if watches.names(on_features=True) and not self.features:
            raise ValueError(
                f"{', '.join(watches.names(on_features=True))} needs 'features': that is what is compared"
            )
        return self

    @model_validator(mode="after")
    def _complete(self) -> "DatasetDeclaration":
        if self.partitions not in {"none", "dynamic"} and self.start is None:
            raise ValueError("'start' is needed with partitions, for example start: '2026-01-01'")
        if self.source.python is None and (self.partitions != "none") != self.source.bounded:
            named = ":start and :end (or :partition)" if self.source.sql else "'{partition}'"
            kind = "sql" if self.source.sql else "files"
            raise ValueError(f"source.{kind} names {named} exactly when the dataset has partitions")
        if self.label and not (self.time and self.features):
            raise ValueError("a dataset with a label declares 'time' and 'features' too")
        if self.freshness and not self.time:
            raise ValueError("'freshness' needs 'time', the column that says when the event happened")
        for column, target in self.references.items():
            if not re.match(r"^[a-z]\w*\.\w+$", target):
                raise ValueError(f"references.{column} reads like 'planes.tailnum', not {target!r}")
        return self

    @property
    def hidden(self) -> list[str]:
        """Columns that a features function never sees: the label, its arrival, and what came after."""
        label = (
            [self.label.column, *([self.label.arrives] if self.label.arrives else [])] if self.label else []
        )
        return [*label, *(column for column in self.after_event if column not in label)]


class ModelDeclaration(Declaration):
    """From features to production, and the gates between."""

    name: Name
    owner: str = Field(description="Who answers for it: 'team:risk' or an e-mail address.")
    description: str = ""
    dataset: Name
    task: Task = Field(
        default="binary",
        description="binary, multiclass or regression: what is learned of the dataset's label.",
    )
    estimator: Reference = Field(description="A function returning an unfitted scikit-learn estimator.")
    train: DurationText = Field(description="Length of the training window: '120d'.")
    holdout: DurationText = Field(description="Length of the most recent labelled window: '30d'.")
    threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Binary: the score from which a row counts as positive."
    )
    imbalance: Literal["none", "balanced"] = Field(
        default="none",
        description="balanced: each class weighs the same in training, whatever its rows (sample weights).",
    )
    costs: Costs | None = Field(
        default=None, description="What wrong answers cost, for the metric expected_cost: see Costs."
    )
    gates: dict[str, str] = Field(min_length=1, description="Metric: bound, each a blocking check.")
    champion: ChampionRule
    fairness: FairnessPlan = FairnessPlan()
    slices: SlicePlan = SlicePlan()
    robustness: RobustnessPlan = RobustnessPlan()
    risk: Literal["low", "medium", "high"] = Field(
        default="low", description="high: a person approves before production."
    )
    approval: ApprovalRule = ApprovalRule()
    retention: Retention = Retention()
    rollout: Rollout = Rollout()
    serving: Serving = Serving()
    log: PredictionLog | None = Field(
        default=PredictionLog(), description="What a server records of its predictions; null for nothing."
    )
    monitor: Monitor = Field(
        default=Monitor(), description="How it is watched in production: see Monitoring."
    )
    rates: Rates | None = Field(
        default=None, description="What an hour costs, for the cost of a training in money: see Rates."
    )
    reproducible: Repetition = Repetition()
    tune: Tune | None = Field(default=None, description="How parameters are searched: see Tuning.")
    trusted_types: list[str] | None = Field(
        default=None,
        description="Types that skops may load, to serve an estimator that ONNX cannot express; [] for none.",
    )
    seed: int = Field(default=0, ge=0)
    tests: Folder = Field(default="tests", description="Its own tests, a folder beside the defs.yaml.")
    retrain: Retrain | None = Field(
        default=None, description="When it is trained again by itself: see Retrain."
    )
    card: Card = Field(default=Card(), description="What only a person can say in the model card: see Card.")

    @model_validator(mode="after")
    def _known_gates(self) -> "ModelDeclaration":
        from mlcicd_assets.ml.evaluation.gate_names import gate_bound, gate_problem
        from mlcicd_assets.ml.evaluation.metrics import comparable_metrics, metrics_of

        known = metrics_of(self.task)
        of = f"of a {self.task} model it is one of:"
        for gate, bound in self.gates.items():
            if problem := gate_problem(gate, self.task):
                raise ValueError(f"gates: {problem}")
            gate_bound(gate, bound, self.rates)
        compared = comparable_metrics(self.task)
        for metric in self.champion.margins:
            if metric not in compared:
                what = "has no interval, so it cannot be compared" if metric in known else "is no metric"
                said = f"{of} {', '.join(sorted(compared))}"
                raise ValueError(f"champion: {metric!r} {what}; {said}")
        if self.robustness.metric and self.robustness.metric not in known:
            said = f"{of} {', '.join(sorted(known))}"
            raise ValueError(f"robustness.metric {self.robustness.metric!r} is no metric; {said}")
        return self

    @model_validator(mode="after")
    def _fits_the_task(self) -> "ModelDeclaration":
        if self.task != "binary" and "threshold" in self.model_fields_set:
            raise ValueError(f"'threshold' is for task binary: a {self.task} model has none; leave it out")
        if self.task == "regression" and self.imbalance != "none":
            raise ValueError("'imbalance' is about classes: a regression model has none; leave it out")
        if self.costs and self.costs.problem(self.task):
            raise ValueError(self.costs.problem(self.task))
        if not self.costs and "expected_cost" in (*self.gates, *self.champion.margins):
            raise ValueError(
                "expected_cost needs 'costs', for example {false_positive: 1, false_negative: 20}"
            )
        return self

    @model_validator(mode="after")
    def _watchable(self) -> "ModelDeclaration":
        problem = monitor_problem(
            self.monitor,
            self.task,
            self.champion.metric,
            retrain_on_performance=bool(self.retrain and self.retrain.performance),
        )
        if problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _measured_budget(self) -> "ModelDeclaration":
        if self.retrain and (problem := self.retrain.spending_problem(self.rates)):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _high_risk_asks(self) -> "ModelDeclaration":
        if self.risk == "high" and self.approval.required is False:
            raise ValueError("with risk: high a person approves: leave approval.required out")
        return self

    @property
    def approval_needed(self) -> bool:
        """Whether a person must agree before production."""
        return self.approval.required is True or self.risk == "high"

    @model_validator(mode="after")
    def _tunable(self) -> "ModelDeclaration":
        from mlcicd_assets.ml.evaluation.metrics import metrics_of

        if self.tune is None:
            return self
        metric = self.tune.metric or self.champion.metric
        # Trials see features and labels, not the protected columns.
        unknown = {"equal_opportunity_gap", *([] if self.costs else ["expected_cost"])}
        known = sorted(set(metrics_of(self.task)) - unknown)
        if metric not in known:
            raise ValueError(
                f"tune.metric {metric!r} cannot be searched by; it is one of: {', '.join(known)}"
            )
        return self

    @property
    def references(self) -> list[str]:
        """The functions that it names."""
        return [self.estimator, *([self.tune.search] if self.tune else [])]

    @property
    def train_window(self) -> timedelta:
        """Length of the training window."""
        return parse_duration(self.train)

    @property
    def holdout_window(self) -> timedelta:
        """Length of the holdout window."""
        return parse_duration(self.holdout)
