"""Every gate has a check name that Dagster takes, and no two share one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.checks.model import check_names
from mlcicd_assets.ml.evaluation.gate_names import gate_names, gate_problem


def test_a_slice_is_spelled_out() -> None:
    names = check_names(["roc_auc", "recall[carrier=AA]", "roc_auc[distance>=1000 & origin!=JFK]"])

    assert list(names.values()) == [
        "roc_auc",
        "recall_carrier_is_AA",
        "roc_auc_distance_from_1000_and_origin_not_JFK",
    ]


@given(st.lists(st.text(min_size=1).map(lambda text: f"recall[a={text}]"), unique=True))
def test_names_are_valid_and_distinct(gates: list[str]) -> None:
    names = check_names(gates)

    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in names.values())
    assert len(set(names.values())) == len(gates)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_what_a_task_measures_can_be_a_gate_and_a_gate_on_a_slice(task) -> None:
    assert [name for name in gate_names(task) if gate_problem(name, task)] == []
    metric = "rmse" if task == "regression" else "accuracy"
    assert gate_problem(f"{metric}[carrier=AA]", task) == ""
    assert "group_error_gap" in gate_names("regression")
    assert "equal_opportunity_gap" not in gate_names("regression")


@pytest.mark.parametrize(
    "name",
    ["recall[", "recall[]", "[carrier=AA]", "recall[carrier=AA", "noise_drop[carrier=AA]", "recall[a~b]"],
)
def test_what_is_no_gate_on_a_slice_is_refused(name: str) -> None:
    assert "reads like" in gate_problem(name, "binary")
