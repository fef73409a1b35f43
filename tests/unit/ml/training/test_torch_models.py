"""Networks behind scikit-learn's interface, and their graphs."""

from typing import Any

import numpy as np
import polars as pl
import pytest

torch = pytest.importorskip("torch")

from sklearn.compose import make_column_transformer  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: E402

from mlcicd_assets.ml.artifact.keeping import kept  # noqa: E402
from mlcicd_assets.ml.artifact.onnx_export import ExportError  # noqa: E402
from mlcicd_assets.ml.training.fitting import new_estimator, train  # noqa: E402
from mlcicd_assets.ml.training.targets import TrainingError  # noqa: E402
from mlcicd_assets.ml.training.torch_models import neural_classifier, neural_regressor  # noqa: E402


class Layers(torch.nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(inputs, 4), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(4, outputs)
        )

    def forward(self, rows: Any) -> Any:
        return self.layers(rows)


class Branching(Layers):
    def forward(self, rows: Any) -> Any:
        return self.layers(rows) if rows.sum() > 0 else self.layers(-rows)


def table(rows: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {name: rng.normal(size=rows).astype(np.float32) for name in "ab"}
        | {"shop": [f"s{row % 3}" for row in range(rows)]}
    )


def positive(features: pl.DataFrame) -> pl.Series:
    return (features["a"] > 0).cast(pl.Int8)


def network(module: Any = Layers, **options: Any) -> Any:
    return neural_classifier(module, **{"epochs": 3, **options})


def test_two_trainings_give_the_same_graph_and_leave_torch_as_it_was() -> None:
    features = table().select("a", "b")
    before = torch.get_rng_state()

    one, two, other = (train(network(), features, positive(features), seed=seed) for seed in (1, 1, 2))

    assert one.served == two.served
    assert one.served != other.served
    assert one.served.engine == "onnx"
    assert torch.equal(torch.get_rng_state(), before)
    name, content = kept(one.estimator)
    assert (name, content) == ("estimator.safetensors", kept(two.estimator)[1])


def test_steps_before_a_network_are_part_of_its_graph() -> None:
    features = table()
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["shop"]))

    trained = train(make_pipeline(columns, network()), features, positive(features))

    assert [feature.name for feature in trained.features] == ["a", "b", "shop"]


def test_many_classes_and_numbers_are_learned() -> None:
    features = table().select("a", "b")
    shops = table()["shop"]

    many = train(network(), features, shops, task="multiclass", imbalance="balanced")
    number = train(neural_regressor(Layers, epochs=3), features, features["a"] * 2, task="regression")

    assert many.classes == ("s0", "s1", "s2")
    assert number.served.engine == "onnx"


def test_an_unfitted_network_passes_and_a_class_does_not() -> None:
    assert new_estimator(network) is not None
    with pytest.raises(TrainingError, match="returned the class Layers"):
        new_estimator(lambda: Layers)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rate": 1e30}, r"became nan in epoch \d+: lower learning_rate \(now 1e\+30\)"),
        (
            {"module": torch.nn.Linear, "in_features": 1, "out_features": 1},
            r"Linear gives \(2, 1\) for 2 rows; give one logit for each class",
        ),
    ],
)
def test_what_cannot_be_learned_names_the_remedy(options: dict[str, Any], said: str) -> None:
    features = table().select("a")

    with pytest.raises(TrainingError, match=said):
        train(network(**options), features, positive(features))


def test_missing_values_are_named_by_column() -> None:
    features = table().select("a", pl.lit(None, pl.Float32).alias("gap"))

    with pytest.raises(TrainingError, match=r"gap has missing or infinite values,.* SimpleImputer"):
        train(network(), features, positive(features))


def test_a_module_that_onnx_cannot_express_is_named() -> None:
    features = table().select("a", "b")

    with pytest.raises(ExportError, match="Branching cannot be expressed in ONNX"):
        train(network(Branching), features, positive(features), trusted=[])


def test_a_gpu_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match="torch finds no GPU here"):
        network(device="cuda")
