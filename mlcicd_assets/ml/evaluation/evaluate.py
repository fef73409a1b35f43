"""The evaluation: challenger and champion on the same holdout, each through its own package."""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from mlcicd_assets.ml.artifact.package import Package, PackageError
from mlcicd_assets.ml.artifact.parity import compare_scores
from mlcicd_assets.ml.artifact.scoring import Scorer, ScoringError
from mlcicd_assets.ml.evaluation.curves import Confusion, Shapes, confusion, shapes
from mlcicd_assets.ml.evaluation.evidence import Evidence
from mlcicd_assets.ml.evaluation.metrics import measure
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


class Evaluation(Evidence):
    """Everything the gates, the verdict and the report page need about one artifact."""

    model: str
    digest: str
    threshold: float
    rows: int
    positives: int
    metrics: dict[str, float | None]
    confusion: Confusion
    shapes: Shapes
    groups: list[GroupResult]
    parity: ParityResult
    champion: ChampionResult | None
    training: TrainingRecord


@dataclass(frozen=True)
class Champion:
    """The version that serves; without its `package`, `problem` says why it could not be fetched."""

    version: int
    digest: str
    package: Package | None
    problem: str = ""


def evaluate(
    package: Package,
    records: pl.DataFrame,
    labels: pl.Series,
    *,
    training: TrainingRecord,
    trained_scores: np.ndarray,
    champion: Champion | None = None,
    protected: pl.DataFrame | None = None,
) -> Evaluation:
    """Score raw, validated holdout `records` through the packages and measure both.

    `labels` (0, 1), `trained_scores` (scikit-learn's own probability of the positive class) and `protected`
    belong to the same rows in the same order. A champion that cannot be scored is an outcome, not an error:
    its `problem` says why. Raises EvaluationError when the rows do not fit together, ScoringError when the
    challenger's package cannot score them.
    """
    _check_rows(package, records, labels, training, trained_scores, protected)
    truth = labels.to_numpy().astype(np.int64)
    threshold = package.signature.threshold
    served = _positive_scores(package, records)
    measured = measure(truth, served, threshold, protected=protected)
    parity = compare_scores(served, trained_scores, threshold)
    return Evaluation(
        model=package.signature.model,
        digest=package.digest,
        threshold=threshold,
        rows=len(truth),
        positives=int(truth.sum()),
        metrics=measured.metrics,
        confusion=confusion(truth, served, threshold),
        shapes=shapes(truth, served),
        groups=[GroupResult(**asdict(group)) for group in measured.groups],
        parity=ParityResult(
            rows=parity.rows,
            max_difference=parity.max_difference if np.isfinite(parity.max_difference) else None,
            label_flips=parity.label_flips,
        ),
        champion=_champion(champion, records, truth, protected) if champion else None,
        training=training,
    )


def _check_rows(
    package: Package,
    records: pl.DataFrame,
    labels: pl.Series,
    training: TrainingRecord,
    trained_scores: np.ndarray,
    protected: pl.DataFrame | None,
) -> None:
    name = package.signature.model
    if package.digest != training.digest:
        raise EvaluationError(f"{name}: the training record is about {training.digest}, not {package.digest}")
    counts = {
        "records": records.height,
        "labels": labels.len(),
        "scores": len(trained_scores),
        "protected rows": records.height if protected is None else protected.height,
        "rows in the training record": training.holdout_rows,
    }
    if len(set(counts.values())) != 1:
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        raise EvaluationError(
            f"{name}: the holdout does not fit together: {said}; "
            "its data has changed since training: materialize the model again"
        )
    if not labels.is_in([0, 1]).all() or labels.null_count():
        raise EvaluationError(f"{name}: labels are 0 or 1, not {labels.unique().to_list()[:5]}")


def _positive_scores(package: Package, records: pl.DataFrame) -> np.ndarray:
    predictions = Scorer.load(package).predict(records)
    scores: np.ndarray = predictions.probabilities[:, package.signature.classes.index(1)]
    return scores


def _champion(
    champion: Champion, records: pl.DataFrame, truth: np.ndarray, protected: pl.DataFrame | None
) -> ChampionResult:
    if champion.package is None:
        return _unscored(champion, champion.problem or "its package is missing")
    if champion.package.digest != champion.digest:
        return _unscored(champion, f"its package has the digest {champion.package.digest}")
    try:
        scores = _positive_scores(champion.package, records)
    except (PackageError, ScoringError, UserCodeError) as error:
        return _unscored(champion, str(error))
    threshold = champion.package.signature.threshold
    return ChampionResult(
        version=champion.version,
        digest=champion.digest,
        metrics=measure(truth, scores, threshold, protected=protected).metrics,
        shapes=shapes(truth, scores),
    )


def _unscored(champion: Champion, problem: str) -> ChampionResult:
    return ChampionResult(version=champion.version, digest=champion.digest, problem=problem)
