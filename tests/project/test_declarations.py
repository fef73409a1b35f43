"""Every declaration in the project, by the same rules as a user's."""

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from mlcicd_assets.ml.catalogue import (
    DEFS,
    KINDS,
    DeclarationError,
    check_references,
    load_all,
    load_datasets,
    load_file,
)

DECLARED = sorted(DEFS.rglob("defs.yaml"))


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.parent.name)
def test_every_defs_yaml_is_valid(path: Path):
    for declaration in load_file(path):
        references = [
            getattr(declaration, name, None) for name in ("contract", "features", "upstream", "estimator")
        ]
        check_references(path.parent, references)


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.parent.name)
def test_every_defs_yaml_fits_the_schema_that_editors_and_dg_use(path: Path):
    for document in yaml.safe_load_all(path.read_text()):
        schema = KINDS[document["type"]].model_json_schema()
        as_json = json.loads(json.dumps(document["attributes"], default=str))  # YAML has dates, JSON has not
        jsonschema.validate(as_json, schema)


def test_models_find_their_datasets():
    catalogue = load_all()
    assert {"flight_delay", "fraud_detector"} <= set(catalogue.models)
    assert catalogue.models["flight_delay"].data.dataset.name == "flights"


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(text)
    return folder / "defs.yaml"


DATASET = """
type: mlcicd_assets.Dataset
attributes:
  name: sales
  owner: team:shop
  partitions: daily
  start: "2026-01-01"
  source: {files: "landing/sales/{partition}.csv"}
  contract: dataset.py:Sales
  features: features.py:features
  time: sold_at
  label: {column: returned}
"""
MODEL = """
type: mlcicd_assets.MlModel
attributes:
  name: returns
  owner: team:shop
  dataset: sales
  estimator: model.py:estimator
  train: 60d
  holdout: 14d
  gates: {roc_auc: ">= 0.7"}
  champion: {metric: roc_auc}
"""


def test_the_examples_are_valid(tmp_path: Path):
    write(tmp_path / "sales", DATASET)
    write(tmp_path / "returns", MODEL)
    assert load_all(tmp_path).models["returns"].data.dataset.name == "sales"


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (MODEL, ("estimator:", "estimater:"), "estimater: Extra inputs are not permitted"),
        (MODEL, ('">= 0.7"', '"at least 0.7"'), "a bound reads like '>= 0.80', not 'at least 0.7'"),
        (MODEL, ("roc_auc: ", "rok_auc: "), "there is no metric 'rok_auc'; of a binary model it is"),
        (MODEL, ("metric: roc_auc", "metric: profit"), "champion: 'profit' is no metric"),
        (MODEL, ("train: 60d", "train: 2 months"), "a duration reads like '10m', '6h' or '60d'"),
        (
            MODEL,
            ("model.py:estimator", "../model.py:estimator"),
            "a reference reads like 'model.py:estimator'",
        ),
        (DATASET, ('start: "2026-01-01"', "description: x"), "'start' is needed with partitions"),
        (DATASET, ("{partition}.csv", "all.csv"), "source.files names '{partition}' exactly when"),
        (DATASET, (".csv", ".xlsx"), "files end in .parquet, .csv, .jsonl or .ndjson"),
        (DATASET, ("landing/", "/etc/"), "files are named relative to the home"),
        (DATASET, ("name: sales", "name: Sales 1"), "a name is lower_snake_case"),
    ],
)
def test_a_mistake_is_named_with_file_and_remedy(tmp_path: Path, text, change, message):
    path = write(tmp_path / "one", text.replace(*change))
    with pytest.raises(DeclarationError) as caught:
        load_file(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_what_is_wrong_between_fields_is_said_without_the_whole_declaration(tmp_path: Path):
    path = write(tmp_path / "one", MODEL + "  retrain: {budget: 50 EUR/month}\n")
    with pytest.raises(DeclarationError) as caught:
        load_file(path)
    told = str(caught.value).removeprefix(f"{path}: ")
    assert told == "attributes: retrain.budget is in EUR: it needs 'rates' with currency: EUR"


MANY = {"gates: {roc_auc": "gates: {accuracy", "metric: roc_auc": "metric: f1_macro"}
NUMBER = {'gates: {roc_auc: ">= 0.7"}': 'gates: {rmse: "<= 2"}', "metric: roc_auc": "metric: mae"}


@pytest.mark.parametrize(
    ("changes", "added", "message"),
    [
        ({}, "task: multiclass", "there is no metric 'roc_auc'; of a multiclass model it is one of"),
        ({}, "task: regression", "there is no metric 'roc_auc'; of a regression model it is one of"),
        ({}, "task: ranking", "Input should be 'binary', 'multiclass' or 'regression'"),
        (MANY, "task: multiclass\n  threshold: 0.4", "'threshold' is for task binary"),
        (NUMBER, "task: regression\n  imbalance: balanced", "'imbalance' is about classes"),
        (NUMBER, "task: regression\n  costs: {otherwise: 1}", "costs are about classes"),
        (MANY, "task: multiclass\n  costs: {false_positive: 1, false_negative: 2}", "have matrix"),
        ({}, "costs: {otherwise: 1}", "costs of a binary model have false_positive and false_negative"),
        ({"metric: roc_auc": "metric: expected_cost"}, "seed: 1", "expected_cost needs 'costs'"),
        ({}, "costs: {false_positive: 1}", "costs need false_positive and false_negative"),
    ],
)
def test_what_does_not_fit_the_task_is_named(tmp_path: Path, changes, added, message):
    text = MODEL
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = write(tmp_path / "one", text.replace("  train: 60d", f"  {added}\n  train: 60d"))
    with pytest.raises(DeclarationError, match=re.escape(message)):
        load_file(path)


@pytest.mark.parametrize(
    ("label", "changes", "task"),
    [("classes", MANY, "multiclass"), ("number", NUMBER, "regression")],
)
def test_the_task_fits_the_labels_kind(tmp_path: Path, label, changes, task):
    text = MODEL
    for old, new in changes.items():
        text = text.replace(old, new)
    write(tmp_path / "returns", text.replace("  train: 60d", f"  task: {task}\n  train: 60d"))
    write(tmp_path / "sales", DATASET)
    with pytest.raises(DeclarationError, match=f"task: {task} needs a label of kind {label}"):
        load_all(tmp_path)
    assert "label: {column: returned" in DATASET
    fitting = DATASET.replace("column: returned", f"column: returned, kind: {label}")
    (tmp_path / "sales" / "defs.yaml").write_text(fitting)
    assert load_all(tmp_path).models["returns"].model.task == task


def test_a_missing_dataset_is_named(tmp_path: Path):
    write(tmp_path / "returns", MODEL)
    with pytest.raises(DeclarationError, match="'sales' is not declared; declared are: none"):
        load_all(tmp_path)


def test_a_dataset_declared_twice_is_refused(tmp_path: Path):
    write(tmp_path / "a", DATASET)
    write(tmp_path / "b", DATASET)
    with pytest.raises(DeclarationError, match="dataset 'sales' is declared twice"):
        load_datasets(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "there is no file"),
        ("def something():\n    pass\n", "model.py defines no 'estimator'; it defines: something"),
        ("def estimator(:\n", "line 1: not Python"),
    ],
)
def test_a_reference_to_nothing_is_named(tmp_path: Path, source, message):
    if source is not None:
        (tmp_path / "model.py").write_text(source)
    with pytest.raises(DeclarationError, match=message):
        check_references(tmp_path, ["model.py:estimator"])
