import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.package import Package, PackageError, write_package
from mlcicd_assets.ml.artifact.scoring import Scorer, ScoringError
from mlcicd_assets.ml.user_code import UserCodeError
from tests.fakes.packages import FEATURES, SHOPS, build_package, records


@pytest.fixture(scope="module")
def scorer(package: Package) -> Scorer:
    return Scorer.load(package)


def test_probabilities_and_labels_by_the_threshold(scorer: Scorer) -> None:
    predictions = scorer.predict(records(50, seed=5))

    assert predictions.probabilities.shape == (50, 2)
    assert np.allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-6)
    assert np.array_equal(predictions.labels, (predictions.probabilities[:, 1] >= 0.5).astype(int))
    assert set(predictions.labels) == {0, 1}


def test_one_row_scores_as_in_a_batch(scorer: Scorer) -> None:
    rows = records(1500, seed=6)
    together = scorer.predict(rows).probabilities

    alone = [scorer.predict(rows[row : row + 1]).probabilities[0] for row in (0, 7, 1499)]

    assert np.allclose(alone, together[[0, 7, 1499]], atol=1e-6)


def test_the_threshold_decides_the_label(tmp_path: Path) -> None:
    strict = Scorer.load(build_package(tmp_path / "strict", threshold=0.99))

    assert strict.predict(records(50)).labels.sum() == 0


def test_boosted_trees_score_too(tmp_path: Path) -> None:
    scorer = Scorer.load(build_package(tmp_path / "trees", kind="boosting"))

    assert scorer.predict(records(20)).probabilities.shape == (20, 2)


def test_a_missing_column_is_named(scorer: Scorer) -> None:
    with pytest.raises(ScoringError, match="missing column amount, shop"):
        scorer.predict(records(3).drop("amount", "shop"))


def test_further_columns_and_their_order_do_not_matter(scorer: Scorer) -> None:
    rows = records(5)
    expected = scorer.predict(rows).probabilities

    found = scorer.predict(rows.select(reversed(rows.columns)).with_columns(more=1))

    assert np.array_equal(found.probabilities, expected)


def test_numbers_are_widened_but_never_changed(scorer: Scorer) -> None:
    whole = records(3).with_columns(pl.col("amount").round(0).cast(pl.Int32))

    assert scorer.predict(whole).probabilities.shape == (3, 2)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("amount", pl.Series(["12.5"]), "column 'amount' must be Float64, not String"),
        ("shop", pl.Series([3]), "column 'shop' must be String, not Int64"),
        ("at", pl.Series([1.5]), "column 'at' must be Datetime"),
        ("amount", pl.Series([None]), "column 'amount' must not be null"),
    ],
)
def test_a_wrong_value_is_named(scorer: Scorer, column: str, values: pl.Series, said: str) -> None:
    with pytest.raises(ScoringError, match=said):
        scorer.predict(records(1).with_columns(values.alias(column)))


def test_fractions_are_not_cut_off() -> None:
    from mlcicd_assets.ml.artifact.scoring import _converted

    assert _converted(pl.Series("seats", [3.0, None]), pl.Int16()).to_list() == [3, None]
    with pytest.raises(ScoringError, match="it has fractions"):
        _converted(pl.Series("seats", [3.5]), pl.Int16())
    with pytest.raises(ScoringError, match="must be Int16"):
        _converted(pl.Series("seats", [70_000]), pl.Int16())


def test_unknown_and_missing_categories_are_scored(scorer: Scorer) -> None:
    rows = records(2).with_columns(shop=pl.Series(["never seen", None]))

    assert np.isfinite(scorer.predict(rows).probabilities).all()


def test_a_score_that_is_no_number_is_refused(scorer: Scorer) -> None:
    rows = records(3).with_columns(amount=pl.Series([1.0, -5.0, 2.0]))

    with pytest.raises(ScoringError, match="no number for row 1"):
        scorer.predict(rows)


def test_no_rows_give_no_predictions(scorer: Scorer) -> None:
    assert scorer.predict(records(1).clear()).probabilities.shape == (0, 2)


def test_many_threads_get_the_same_answers(scorer: Scorer) -> None:
    rows = records(64, seed=3)
    expected = scorer.predict(rows).probabilities[:, 1]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: scorer.predict(rows[row : row + 1]).probabilities[0, 1], range(64)))

    assert np.allclose(found, expected, atol=1e-6)


def test_the_expected_digest_is_verified(package: Package) -> None:
    assert Scorer.load(package.folder, expected=package.digest).signature == package.signature
    for given in (package, package.folder):
        with pytest.raises(PackageError, match="is not"):
            Scorer.load(given, expected="0" * 64)


def rebuilt(package: Package, folder: Path, source: str = FEATURES, **changes: object) -> Package:
    signature = package.signature.model_copy(update=changes)
    onnx = package.files["model.onnx"]
    return write_package(folder, signature, model=onnx, features=source.encode(), lookups={"shops": SHOPS})


def test_features_that_are_not_the_promised_ones_do_not_load(package: Package, tmp_path: Path) -> None:
    other = rebuilt(package, tmp_path / "p", FEATURES.replace("amount_log", "log_amount"))

    with pytest.raises(PackageError, match=r"features\.py: gives .*log_amount.*promises"):
        Scorer.load(other)


def test_a_graph_that_is_not_the_promised_one_does_not_load(package: Package, tmp_path: Path) -> None:
    fewer = package.signature.features[:-1]
    other = rebuilt(package, tmp_path / "p", FEATURES.replace('        shop="shop",\n', ""), features=fewer)

    with pytest.raises(PackageError, match=r"model\.onnx: takes .*shop.* promises"):
        Scorer.load(other)


def test_a_spoiled_graph_does_not_load(package: Package, tmp_path: Path) -> None:
    broken = write_package(
        tmp_path / "p",
        package.signature,
        model=b"not a graph",
        features=FEATURES.encode(),
        lookups={"shops": SHOPS},
    )

    with pytest.raises(PackageError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Scorer.load(broken)


def test_features_that_raise_on_import_do_not_load(package: Package, tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"features\.py, line 1"):
        Scorer.load(rebuilt(package, tmp_path / "p", "1 / 0\n" + FEATURES))


def test_features_computed_eagerly_are_served_as_well(
    package: Package, tmp_path: Path, scorer: Scorer
) -> None:
    eager = FEATURES.replace('        shop="shop",\n    )', '        shop="shop",\n    ).collect()')

    other = Scorer.load(rebuilt(package, tmp_path / "p", eager))

    rows = records(3)
    assert np.array_equal(other.predict(rows).probabilities, scorer.predict(rows).probabilities)


def test_features_that_lose_a_row_are_refused(package: Package, tmp_path: Path) -> None:
    losing = FEATURES.replace("return records.join", "return records.filter(pl.col('amount') > 1e9).join")

    with pytest.raises(ScoringError, match="0 rows for 3 records"):
        Scorer.load(rebuilt(package, tmp_path / "p", losing)).predict(records(3))


def test_scoring_needs_no_training_library(package: Package) -> None:
    program = (
        "import sys; from pathlib import Path; from mlcicd_assets.ml.artifact.scoring import Scorer; "
        f"Scorer.load(Path({str(package.folder)!r})); "
        "print([name for name in ('sklearn', 'pandas', 'mlflow', 'dagster', 'onnx') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"
