from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from sklearn.svm import LinearSVC

from mlcicd_assets.ml.artifact.keeping import KeepingError, from_skops, to_skops
from mlcicd_assets.ml.artifact.onnx_export import ExportError
from mlcicd_assets.ml.training.fitting import TrainingError, model_features, new_estimator, scores, train


def table(rows: int = 300, seed: int = 0) -> tuple[pl.DataFrame, pl.Series]:
    rng = np.random.default_rng(seed)
    features = pl.DataFrame(
        {
            "x": rng.normal(size=rows).astype(np.float32),
            "gap": [None if row % 7 == 0 else float(row % 5) for row in range(rows)],
            "shop": [None if row % 11 == 0 else "abc"[row % 3] for row in range(rows)],
        },
        schema={"x": pl.Float32, "gap": pl.Float32, "shop": pl.String},
    )
    labels = features["x"].to_numpy() + rng.normal(size=rows) > 0
    return features, pl.Series(labels.astype(np.int8))


def trees(classifier: Any = None) -> Pipeline:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((codes, ["shop"]), remainder="passthrough")
    return make_pipeline(
        columns, HistGradientBoostingClassifier(max_iter=5) if classifier is None else classifier
    )


def test_the_same_data_and_seed_give_the_same_bytes_whatever_the_threads() -> None:
    features, labels = table()

    one, two = (train(trees(), features, labels, seed=3, threads=threads) for threads in (1, 2))

    assert one.served == two.served
    assert [feature.name for feature in one.features] == ["x", "gap", "shop"]
    assert [feature.dtype for feature in one.features] == ["Float32", "Float32", "String"]


def test_the_seed_goes_where_the_user_left_it_open() -> None:
    features, labels = table()

    def fitted(seed: int, **options: Any) -> Any:
        return train(trees(RandomForestClassifier(3, **options)), features.fill_null(0), labels, seed=seed)

    assert fitted(1).served == fitted(1).served
    assert fitted(1).served != fitted(2).served
    assert fitted(1, random_state=7).served == fitted(2, random_state=7).served
    assert fitted(5).params["randomforestclassifier__random_state"] == 5


def test_parameters_are_plain_and_fit_into_json() -> None:
    features, labels = table()

    params = train(trees(), features, labels).params

    assert params["histgradientboostingclassifier__max_iter"] == 5
    assert all(value == value for value in params.values())


def test_kept_by_skops_it_scores_the_same() -> None:
    features, labels = table()
    trained = train(trees(), features, labels)

    again = from_skops(to_skops(trained.estimator))

    assert np.array_equal(scores(again, features), scores(trained.estimator, features))


class Own(ClassifierMixin, BaseEstimator):
    """A user's own classifier."""

    answer = 0.5

    def fit(self, X: Any, y: Any) -> "Own":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.full((len(X), 2), self.answer)


class Impossible(Own):
    """Its scores are no probabilities."""

    answer = 1.5


def test_types_that_nobody_vouched_for_are_not_kept() -> None:
    features, labels = table()
    fitted = Own().fit(features, labels)

    with pytest.raises(KeepingError, match="Own"):
        to_skops(fitted)
    import skops.io

    with pytest.raises(KeepingError, match="Own"):
        from_skops(skops.io.dumps(fitted))


def test_half_a_file_is_not_loaded() -> None:
    with pytest.raises(KeepingError, match="not a whole skops file"):
        from_skops(to_skops(LogisticRegression())[:200])


def returning(value: Any) -> Any:
    def estimator() -> Any:
        return value

    return estimator


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "returned NoneType; return an unfitted scikit-learn classifier"),
        (HistGradientBoostingClassifier, "returned the class HistGradientBoostingClassifier"),
        (LinearSVC(), "LinearSVC without predict_proba"),
        (LocalOutlierFactor(), "without predict_proba"),
        (LogisticRegression().fit([[0], [1]], [0, 1]), "returned a fitted LogisticRegression"),
        (make_pipeline(LogisticRegression()).fit([[0], [1]], [0, 1]), "returned a fitted Pipeline"),
    ],
)
def test_what_cannot_be_trained_is_named(value: Any, said: str) -> None:
    with pytest.raises(TrainingError, match=rf"test_fitting\.py, line \d+: estimator\(\) .*{said}"):
        new_estimator(returning(value))


def test_an_estimator_that_raises_is_named() -> None:
    def estimator() -> Any:
        raise KeyError("depth")

    with pytest.raises(TrainingError, match=r"estimator\(\) raised KeyError: 'depth'"):
        new_estimator(estimator)


def test_an_unfitted_estimator_passes() -> None:
    assert isinstance(new_estimator(trees), Pipeline)


@pytest.mark.parametrize("labels", [[1] * 300, [0, 1] * 10, [0, 1, 2] * 100, [0, None] * 150])
def test_labels_are_both_classes_for_every_row(labels: list[int | None]) -> None:
    features, _ = table()

    with pytest.raises(TrainingError, match="a label, 0 or 1, for each row, and both classes"):
        train(trees(), features, pl.Series(labels))


def test_a_fit_that_fails_names_the_columns() -> None:
    features, labels = table()

    with pytest.raises(TrainingError, match=r"fitting LogisticRegression on 300 rows of x, gap, shop failed"):
        train(LogisticRegression(), features, labels)


def test_scores_that_are_no_probabilities_are_refused() -> None:
    features, labels = table()

    with pytest.raises(TrainingError, match="no probabilities"):
        train(Impossible(), features, labels)


@pytest.mark.parametrize(
    "estimator", [Own(), trees(make_pipeline(FunctionTransformer(np.nan_to_num), LogisticRegression()))]
)
def test_what_onnx_cannot_express_is_named(estimator: Any) -> None:
    features, labels = table()

    with pytest.raises(ExportError, match="cannot be expressed in ONNX"):
        train(estimator, features, labels)


def test_only_model_columns_are_trained_on() -> None:
    with pytest.raises(TrainingError, match=r"not when \(Datetime"):
        model_features(pl.DataFrame(schema={"x": pl.Float32, "when": pl.Datetime}))
    with pytest.raises(TrainingError, match="none at all"):
        model_features(pl.DataFrame())
