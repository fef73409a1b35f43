"""Every declared field counts somewhere, or is known not to change a result."""

from pathlib import Path

import pytest

from mlcicd_assets.ml.code import code_versions
from mlcicd_assets.ml.code.code_module import read_module
from mlcicd_assets.ml.declarations import DatasetDeclaration, ModelDeclaration

# What people read, when things run, and what plays the upstream: no result depends on it.
WITHOUT_EFFECT = {
    DatasetDeclaration: {
        "name",
        "owner",
        "description",
        "partitions",
        "start",
        "upstream",
        "drift_page",
        "retention",
        "personal",  # of the log of predictions, from the next launch on
    },
    ModelDeclaration: {"name", "owner", "description", "retention", "retrain", "tests"},
}
FIELDS = {
    DatasetDeclaration: code_versions._DATA_FIELDS,
    ModelDeclaration: code_versions._MODEL_FIELDS,
}


@pytest.mark.parametrize("declaration", FIELDS)
def test_every_field_of_a_declaration_makes_something_stale(declaration: type) -> None:
    counted = set().union(*FIELDS[declaration].values())

    assert set(declaration.model_fields) - counted == WITHOUT_EFFECT[declaration]
    assert counted <= set(declaration.model_fields)


@pytest.mark.parametrize("stage", code_versions.ENTRIES)
def test_the_frameworks_entries_exist(stage: str) -> None:
    for entry in code_versions.ENTRIES[stage]:
        file, name = entry.split(":")
        assert name in read_module(Path(code_versions.__file__).parents[1] / file).binding, entry
    assert code_versions.framework_code(stage)
