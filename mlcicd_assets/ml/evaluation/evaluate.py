"""The evaluation: challenger and champion on the same holdout, each through its own package."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Package, PackageError
from mlcicd_assets.ml.artifact.parity import compare_scores
from mlcicd_assets.ml.artifact.scoring import Scorer, ScoringError
from mlcicd_assets.ml.evaluation.classes import ClassResult, class_results, confusion_matrix
from mlcicd_assets.ml.evaluation.costs import Costs
from mlcicd_assets.ml.evaluation.curves import Confusion, Shapes, confusion, shapes_of
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.examination import Examined, Plans, examine_holdout
from mlcicd_assets.ml.evaluation.fairness import FairnessEvidence
from mlcicd_assets.ml.evaluation.judged_holdout import JudgedHoldout
from mlcicd_assets.ml.evaluation.reproducibility import Repeated
from mlcicd_assets.ml.evaluation.robustness import RobustnessEvidence
from mlcicd_assets.ml.evaluation.serving_truths import ServingTruths
from mlcicd_assets.ml.evaluation.significance import Significance, judge
from mlcicd_assets.ml.evaluation.slices import Scored, SlicesEvidence
from mlcicd_assets.ml.evaluation.target import Target, TargetError
from mlcicd_assets.ml.tasks import Task
from mlcicd_assets.ml.training.training_record import TrainingRecord
from mlcicd_assets.ml.user_code import UserCodeError


class EvaluationError(ValueError):
    """An evaluation that cannot be made; names what does not fit."""


class GroupResult(Evidence):
    """One group of a protected column; `counted` when it has enough positives to be gated."""

    column: str
    value: str
    rows: int
    positives: int
    recall: float | None
    counted: bool


class ParityResult(Evidence):
    """The package against scikit-learn on the holdout; `max_difference` None when a score was NaN."""

    rows: int
    max_difference: float | None
    label_flips: int


class ChampionResult(Evidence):
    """The champion on this holdout; without metrics when `problem` says why it could not be scored."""

    version: int
    digest: str
    metrics: dict[str, float | None] = {}
    shapes: Shapes = Shapes()
    problem: str = ""
    training: TrainingRecord | None = None  # without its trials; None in evaluations from before it was kept


class Evaluation(Evidence):
    """Everything the gates, the verdict and the report page need about one artifact.

    `threshold`, `positives` and `confusion` are a binary model's, `classes` and `matrix` a multiclass one's.
    """

    model: str
    digest: str
    task: Task = "binary"
    threshold: float | None = None
    rows: int
    positives: int | None = None
    metrics: dict[str, float | None]
    notes: list[str] = []  # what is odd about the holdout, and why a metric is missing
    currency: str = ""  # of the metric expected_cost
    confusion: Confusion | None = None
    classes: list[ClassResult] = []
    matrix: list[list[int]] = []  # rows by truth (down) and answer (across), in the order of `classes`
    shapes: Shapes
    groups: list[GroupResult]
    parity: ParityResult
    champion: ChampionResult | None
    training: TrainingRecord
    holdout: JudgedHoldout | None = None  # None: the training's own
    significance: Significance | None = None
    serving: ServingTruths | None = None
    reproducibility: Repeated | None = None
    fairness: FairnessEvidence | None = None
    slices: SlicesEvidence | None = None
    robustness: RobustnessEvidence | None = None

    @property
    def examined(self) -> Examined:
        """What was looked at beyond the metrics."""
        return Examined(fairness=self.fairness, slices=self.slices, robustness=self.robustness)


@dataclass(frozen=True)
class Champion:
    """The version that serves; without its `package`, `problem` says why it could not be fetched."""

    version: int
    digest: str
    package: Package | None
    problem: str = ""
    training: TrainingRecord | None = None  # None where it could not be fetched

    @property
    def learned_until(self) -> datetime | None:
        """The end of its training window."""
        return self.training.train[1] if self.training else None

    @property
    def recorded(self) -> TrainingRecord | None:
        """What it was trained with, without the trials of its search: they are in its own record."""
        return self.training.model_copy(update={"tuning": None}) if self.training else None


def evaluate(
    package: Package,
    records: pl.DataFrame,
    labels: pl.Series,
    *,
    training: TrainingRecord,
    trained_scores: np.ndarray,
    trained_records: pl.DataFrame | None = None,
    champion: Champion | None = None,
    protected: pl.DataFrame | None = None,
    costs: Costs | None = None,
    plans: Plans | None = None,
    holdout: JudgedHoldout | None = None,
) -> Evaluation:
    """Score raw, validated holdout `records` through the packages and measure both.

    `labels` and `protected` belong to the same rows in the same order; `trained_scores` (the estimator's
    own: see `fitting.scores`) to `trained_records`, where the training's holdout is another than `records`.
    A champion that cannot be scored is an outcome, not an error: its `problem` says why. With `plans`
    significance, fairness, slices and robustness are measured too. Raises EvaluationError when the rows or
    the plans do not fit, ScoringError when the challenger's package cannot score them.
    """
    own = records if trained_records is None else trained_records
    _check_rows(package, records, labels, training, own, trained_scores, protected)
    learned = Target.of(package.signature, costs)
    target, truth = _target(learned, labels, package.signature.model)
    scorer = Scorer.load(package)
    predictions = scorer.predict(records)
    served = target.scores(predictions, learned.classes)
    measured = target.measure(truth, served, protected=protected)
    again = predictions if trained_records is None else scorer.predict(trained_records)
    parity = compare_scores(
        learned.scores(again), trained_scores, learned.threshold if learned.task == "binary" else None
    )
    opponent, theirs = _champion(champion, target, records, truth, protected) if champion else (None, None)
    mine = Scored(target, truth, served)
    examined = _examined(plans, scorer, records, mine, theirs, protected) if plans else Examined()
    binary, many = target.task == "binary", target.task == "multiclass"
    return Evaluation(
        model=package.signature.model,
        digest=package.digest,
        task=target.task,
        threshold=package.signature.threshold,
        rows=len(truth),
        positives=int(truth.sum()) if binary else None,
        metrics=measured.metrics,
        notes=measured.notes,
        currency=costs.currency if costs else "",
        confusion=confusion(truth, served, target.threshold) if binary else None,
        classes=class_results(truth, served, target.classes, learned=len(learned.classes)) if many else [],
        matrix=confusion_matrix(truth, served, len(target.classes)) if many else [],
        shapes=shapes_of(target.task, truth, served),
        groups=[GroupResult(**asdict(group)) for group in measured.groups],
        parity=ParityResult(
            rows=parity.rows,
            max_difference=parity.max_difference if np.isfinite(parity.max_difference) else None,
            label_flips=parity.label_flips,
        ),
        champion=opponent,
        training=training,
        holdout=holdout,
        significance=_significance(plans, mine, measured.metrics, theirs, opponent) if plans else None,
        **dict(examined),
    )


def _examined(
    plans: Plans,
    scorer: Scorer,
    records: pl.DataFrame,
    mine: Scored,
    champion: Scored | None,
    protected: pl.DataFrame | None,
) -> Examined:
    try:
        return examine_holdout(plans, scorer, records, mine, champion=champion, protected=protected)
    except ValueError as error:
        raise EvaluationError(f"{scorer.signature.model}: {error}") from error


def _significance(
    plans: Plans,
    mine: Scored,
    metrics: dict[str, float | None],
    theirs: Scored | None,
    champion: ChampionResult | None,
) -> Significance:
    return judge(
        mine,
        theirs,
        metrics=metrics,
        champion=champion.metrics if champion else {},
        rule=plans.rule,
        seed=plans.seed,
    )


def _check_rows(
    package: Package,
    records: pl.DataFrame,
    labels: pl.Series,
    training: TrainingRecord,
    trained_records: pl.DataFrame,
    trained_scores: np.ndarray,
    protected: pl.DataFrame | None,
) -> None:
    name = package.signature.model
    if package.digest != training.digest:
        raise EvaluationError(f"{name}: the training record is about {training.digest}, not {package.digest}")
    judged = {
        "records": records.height,
        "labels": labels.len(),
        "protected rows": records.height if protected is None else protected.height,
    }
    trained = {
        "records of the training's holdout": trained_records.height,
        "scores": len(trained_scores),
        "rows in the training record": training.holdout_rows,
    }
    for counts in (judged, trained):
        if len(set(counts.values())) != 1:
            said = ", ".join(f"{count} {what}" for what, count in counts.items())
            raise EvaluationError(
                f"{name}: the holdout does not fit together: {said}; "
                "its data has changed since training: materialize the model again"
            )


def _target(learned: Target, labels: pl.Series, model: str) -> tuple[Target, np.ndarray]:
    """What is judged, with classes that only the holdout has, and the truth."""
    target = learned.among(labels)
    try:
        return target, target.truth(labels)
    except TargetError as error:
        raise EvaluationError(f"{model}: {error}") from error


def _champion(
    champion: Champion,
    target: Target,
    records: pl.DataFrame,
    truth: np.ndarray,
    protected: pl.DataFrame | None,
) -> tuple[ChampionResult, Scored | None]:
    if champion.package is None:
        return _unscored(champion, champion.problem or "its package is missing")
    if champion.package.digest != champion.digest:
        return _unscored(champion, f"its package has the digest {champion.package.digest}")
    signature = champion.package.signature
    if signature.task != target.task:
        return _unscored(champion, f"its task is {signature.task}, the challenger's is {target.task}")
    try:
        predictions = Scorer.load(champion.package).predict(records)
    except (PackageError, ScoringError, UserCodeError) as error:
        return _unscored(champion, str(error))
    own = replace(target, threshold=signature.threshold or target.threshold)
    scores = own.scores(predictions, signature.classes)
    result = ChampionResult(
        version=champion.version,
        digest=champion.digest,
        metrics=own.measure(truth, scores, protected=protected).metrics,
        shapes=shapes_of(own.task, truth, scores),
        training=champion.recorded,
    )
    return result, Scored(own, truth, scores)


def _unscored(champion: Champion, problem: str) -> tuple[ChampionResult, None]:
    return ChampionResult(
        version=champion.version, digest=champion.digest, problem=problem, training=champion.recorded
    ), None
