from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.packaging import package_model
from mlcicd_assets.ml.artifact.parity import TOLERANCE, AlignmentError, align, compare_scores
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.data.features import compute_features
from mlcicd_assets.ml.training.fitting import Trained, scores, train
from mlcicd_assets.ml.user_code import load_function
from tests.fakes.packages import FEATURES, SHOPS, records

RECORDS = records(400)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("user") / "features.py"
    path.write_text(FEATURES)
    return path


@pytest.fixture(scope="module")
def features(source: Path) -> pl.DataFrame:
    function = load_function(source, "features")
    return compute_features(function, RECORDS, {"shops": SHOPS.lazy()}, hidden=["label"])


@pytest.fixture(scope="module")
def trained(features: pl.DataFrame) -> Trained:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((codes, ["shop"]), remainder="passthrough")
    estimator = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=10))
    return train(estimator, features, RECORDS["label"])


def packaged(folder: Path, trained: Trained, source: Path, *, nullable: list[str] | None = None) -> Package:
    return package_model(
        folder,
        trained,
        model="shop_risk",
        threshold=0.4,
        features=(source, "features"),
        records=RECORDS,
        hidden=["label"],
        lookups={"shops": SHOPS},
        nullable=nullable,
    )


def test_the_signature_names_just_the_raw_columns_that_are_needed(
    tmp_path: Path, trained: Trained, source: Path
) -> None:
    signature = packaged(tmp_path / "p", trained, source, nullable=["shop"]).signature

    assert [(c.name, c.dtype, c.nullable) for c in signature.inputs] == [
        ("at", "Datetime", False),
        ("amount", "Float64", False),
        ("shop", "String", True),
    ]
    assert signature.threshold == 0.4
    assert signature.lookups == ["shops"]


def test_packaging_twice_gives_one_digest(tmp_path: Path, trained: Trained, source: Path) -> None:
    assert (
        packaged(tmp_path / "a", trained, source).digest == packaged(tmp_path / "b", trained, source).digest
    )


def test_the_package_answers_as_scikit_learn_does(
    tmp_path: Path, trained: Trained, source: Path, features: pl.DataFrame
) -> None:
    scorer = Scorer.load(packaged(tmp_path / "p", trained, source))

    parity = compare_scores(
        scorer.predict(RECORDS).probabilities[:, 1], scores(trained.estimator, features), 0.4
    )

    assert parity.rows == 400
    assert parity.max_difference < 1e-6
    assert parity.label_flips == 0


def test_parity_counts_what_differs() -> None:
    parity = compare_scores(np.array([0.10, 0.49, 0.90]), np.array([0.10, 0.51, 0.90]), 0.5)

    assert parity.max_difference == pytest.approx(0.02)
    assert parity.max_difference > TOLERANCE
    assert parity.label_flips == 1
    assert np.isnan(compare_scores(np.array([0.1, np.nan]), np.array([0.1, 0.2]), 0.5).max_difference)


def test_scores_of_other_rows_are_not_compared() -> None:
    with pytest.raises(AlignmentError, match="3 served and 2 trained"):
        compare_scores(np.zeros(3), np.zeros(2), 0.5)


def test_features_are_brought_into_the_records_order() -> None:
    raw = pl.DataFrame({"id": [3, 1, 2], "leg": ["a", None, "b"]})
    table = pl.DataFrame({"_id": [1, 2, 3, 4], "_leg": [None, "b", "a", "a"], "x": [10, 20, 30, 40]})

    assert align(raw, table, ["id", "leg"])["x"].to_list() == [30, 10, 20]


@pytest.mark.parametrize(
    ("ids", "table_ids", "said"),
    [
        ([1, 2], [1, 3], "1 of 2 records have no features"),
        ([1, 2], [1, 2, 2], "the keys id do not identify a row"),
        ([1, 1], [1, 2], "the keys id do not identify a row"),
    ],
)
def test_rows_that_do_not_match_are_told(ids: list[int], table_ids: list[int], said: str) -> None:
    with pytest.raises(AlignmentError, match=said):
        align(pl.DataFrame({"id": ids}), pl.DataFrame({"_id": table_ids}), ["id"])


def test_alignment_needs_keys() -> None:
    with pytest.raises(AlignmentError, match="declare keys"):
        align(pl.DataFrame({"id": [1]}), pl.DataFrame({"_id": [1]}), [])


def test_values_differ_in_units_of_their_spread() -> None:
    trained = np.array([100.0, 200.0, 300.0])

    parity = compare_scores(trained + np.array([0, 0, trained.std() / 2]), trained)

    assert parity.max_difference == pytest.approx(0.5)
    assert parity.label_flips == 0
    assert compare_scores(np.float32([1e6, 1e6 + 1]), np.array([1e6, 1e6 + 1])).max_difference == 0
    assert np.isnan(compare_scores(np.array([np.nan, 1.0]), np.array([0.0, 1.0])).max_difference)


def test_the_likeliest_of_many_classes_may_flip() -> None:
    trained = np.array([[0.5, 0.4, 0.1], [0.2, 0.2, 0.6]])

    parity = compare_scores(trained[:, [1, 0, 2]], trained)

    assert parity.max_difference == pytest.approx(0.1)
    assert parity.label_flips == 1
