"""Each error of a declaration by file, line, field, found and expected."""

import pytest

from mlcicd_assets.codebase.declared import check_declarations

MODEL = "defs/returns/defs.yaml"


def found(code) -> list[tuple[str, int | None, str, str]]:
    return [
        (one.file, one.line, one.rule, one.message) for one in check_declarations(code.project()).findings
    ]


def test_valid_declarations_pass(code):
    assert found(code) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "field", "message"),
    [
        (MODEL, "train: 80d", "trian: 80d", 8, "trian", "is 'train' meant?"),
        (
            MODEL,
            "train: 80d",
            "train: 80 days",
            8,
            "train",
            "found '80 days', expected: a duration reads like",
        ),
        (MODEL, "keep_warm: 1s", "keep_warm: [", 12, "yaml", "not YAML"),
        (MODEL, "  owner: team:shop\n", "", 3, "owner", "missing, and it has no default"),
        (
            MODEL,
            "non_inferiority: 0.01",
            "non_inferiority: much",
            11,
            "champion.non_inferiority",
            "found 'much'",
        ),
        (
            MODEL,
            "mlcicd_assets.MlModel",
            "mlcicd_assets.MlModle",
            2,
            "type",
            "expected one of: mlcicd_assets.Dataset",
        ),
        (MODEL, "model.py:estimator", "model.py:estimater", 7, "reference", "defines no 'estimater'"),
        (MODEL, "dataset: sales", "dataset: sails", None, "together", "'sails' is not declared"),
    ],
)
def test_a_mistake_is_named_by_its_place(code, file, old, new, line, field, message):
    code.edit(file, old, new)
    (one,) = [one for one in found(code) if one[2] in {field, "yaml"}][:1]
    assert one[:3] == (file, line, field) or field == "yaml"
    assert message in one[3]


def test_several_files_are_told_at_once(code):
    code.edit(MODEL, "train: 80d", "trian: 80d")
    code.edit("defs/stores/defs.yaml", "keys:", "kees:")
    assert {one[0] for one in found(code)} == {MODEL, "defs/stores/defs.yaml"}


def test_components_of_others_are_theirs(code):
    code.write("defs/other/defs.yaml", "type: other.Thing\nattributes: {a: 1}\n")
    assert found(code) == []
