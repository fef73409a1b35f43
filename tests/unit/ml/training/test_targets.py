"""Training each task: what labels it needs, what each row weighs, and what the package then answers."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlcicd_assets.ml.artifact.packaging import package_model
from mlcicd_assets.ml.artifact.parity import TOLERANCE, compare_scores
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.tasks import Task
from mlcicd_assets.ml.training.fitting import TrainingError, new_estimator, scores, train
from mlcicd_assets.ml.training.targets import sample_weights

RNG = np.random.default_rng(0)
ROWS = 400
FEATURES = pl.DataFrame(
    {"x": RNG.normal(size=ROWS), "y": RNG.normal(size=ROWS)}, schema={"x": pl.Float32, "y": pl.Float32}
)
NUMBERS = pl.Series(300 + 5 * FEATURES["x"].to_numpy() + RNG.normal(0, 0.1, ROWS))
ANIMALS = pl.Series(np.array(["owl", "cat", "dog"])[np.digitize(FEATURES["x"].to_numpy(), [-0.5, 1.2])])
DIGITS = pl.Series(np.array([8, 3, 5])[np.digitize(FEATURES["x"].to_numpy(), [-0.5, 1.2])])


class Diverged(RegressorMixin, BaseEstimator):
    """What is left after a loss that became NaN."""

    def fit(self, table: Any, labels: Any) -> "Diverged":
        self.coef_ = np.nan
        return self

    def predict(self, table: Any) -> np.ndarray:
        return np.full(len(table), self.coef_)


FUNCTION = "import polars as pl\n\n\ndef features(records):\n    return records.select('x', 'y')\n"


@pytest.mark.parametrize(
    ("estimator", "labels", "task"),
    [
        (Ridge(), NUMBERS, "regression"),
        (HistGradientBoostingRegressor(max_iter=20), NUMBERS, "regression"),
        (make_pipeline(StandardScaler(), Ridge()), NUMBERS, "regression"),
        (LogisticRegression(), ANIMALS, "multiclass"),
        (HistGradientBoostingClassifier(max_iter=5), DIGITS, "multiclass"),
        (make_pipeline(StandardScaler(), LogisticRegression()), DIGITS, "multiclass"),
        (HistGradientBoostingClassifier(max_iter=5), (DIGITS == 8).cast(pl.Int8), "binary"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else None,
)
def test_what_is_served_answers_as_what_was_trained(
    tmp_path: Path, estimator: Any, labels: pl.Series, task: Task
) -> None:
    (tmp_path / "features.py").write_text(FUNCTION)
    trained = train(estimator, FEATURES, labels, task=task)

    package = package_model(
        tmp_path / "package",
        trained,
        model="m",
        threshold=0.5,
        features=(tmp_path / "features.py", "features"),
        records=FEATURES,
    )
    served = Scorer.load(package).predict(FEATURES)

    own = scores(trained.estimator, FEATURES, task, trained.classes)
    answers = served.scores[:, 1] if task == "binary" else served.scores
    parity = compare_scores(answers, own, 0.5 if task == "binary" else None)
    assert parity.max_difference < TOLERANCE
    assert package.signature.task == task
    if task == "regression":
        assert served.values.shape == (ROWS,)
        assert package.signature.threshold is None
    else:
        assert package.signature.classes == labels.unique().sort().to_list()
        assert (served.labels == estimator.predict(FEATURES.to_pandas())).mean() > 0.99


@pytest.mark.parametrize(
    ("labels", "task", "words"),
    [
        (pl.Series([1] * ROWS), "multiclass", "at least two classes"),
        (ANIMALS, "binary", "the label's kind or type has changed"),
        (ANIMALS, "regression", "the label's kind or type has changed"),
        (NUMBERS, "multiclass", "the label's kind or type has changed"),
        (DIGITS, "binary", r"with the values \[3, 5, 8\]"),
        (pl.Series([2.5] * ROWS), "regression", "not the same one"),
        (NUMBERS.set(NUMBERS > 310, float("inf")), "regression", "NaN or infinite"),
        (ANIMALS.set(ANIMALS == "cat", None), "multiclass", "are missing"),
        (DIGITS.head(10), "multiclass", "10 labels"),
    ],
)
def test_labels_that_cannot_be_learned_are_named(labels: pl.Series, task: Task, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        train(Ridge() if task == "regression" else LogisticRegression(), FEATURES, labels, task=task)


def test_balanced_classes_weigh_the_same_whatever_their_rows() -> None:
    labels = np.array(["a"] * 90 + ["b"] * 10)
    weights = sample_weights(make_pipeline(StandardScaler(), LogisticRegression()), labels, "balanced")

    assert list(weights) == ["logisticregression__sample_weight"]
    (values,) = weights.values()
    assert values[labels == "a"].sum() == pytest.approx(values[labels == "b"].sum())
    assert values.sum() == pytest.approx(100)


def test_balancing_moves_the_scores_of_the_rare_class_up() -> None:
    rare = (FEATURES["x"] + pl.Series(RNG.normal(size=ROWS)) > 2.2).cast(pl.Int8)
    plain, balanced = (
        train(LogisticRegression(), FEATURES, rare, imbalance=imbalance) for imbalance in ("none", "balanced")
    )

    assert scores(balanced.estimator, FEATURES).mean() > 2 * scores(plain.estimator, FEATURES).mean()
    assert balanced.class_rows == {"0": ROWS - int(rare.sum()), "1": int(rare.sum())}


def test_an_estimator_that_takes_no_weights_is_refused_with_the_remedy() -> None:
    with pytest.raises(TrainingError, match="takes no sample_weight in fit"):
        train(KNeighborsClassifier(), FEATURES, ANIMALS, task="multiclass", imbalance="balanced")


@pytest.mark.parametrize(
    ("made", "task", "words"),
    [
        (Ridge(), "binary", "task is binary: return a classifier"),
        (Ridge(), "multiclass", "task is multiclass: return a classifier"),
        (LogisticRegression(), "regression", "task is regression: return a regressor"),
    ],
)
def test_an_estimator_for_another_task_is_refused(made: Any, task: Task, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        new_estimator(lambda: made, task)


def test_a_loss_that_diverged_is_an_error_with_the_remedy() -> None:
    with pytest.raises(TrainingError, match="as after a loss that diverged; lower the learning rate"):
        train(Diverged(), FEATURES, NUMBERS, task="regression")
