import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.reports.markdown import bullets, literal, prose, table


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("roc_auc", "roc_auc"),
        ("_x_", r"\_x\_"),
        ("a|b", r"a\|b"),
        ("a < 3 & b>=2", "a < 3 & b>=2"),
        ("<img src=x>", "&lt;img src=x>"),
        ("&lt;b>", "&amp;lt;b>"),
        ("[x](y)", r"\[x\](y)"),
        ("one\n two", "one two"),
        ("`code` *bold*", r"\`code\` \*bold\*"),
        (7, "7"),
    ],
)
def test_a_literal_is_what_it_says(text: object, written: str) -> None:
    assert literal(text) == written


def test_prose_keeps_emphasis_but_no_html() -> None:
    assert prose("a *b* [c](d)\n<script>") == "a *b* [c](d) &lt;script>"


@given(st.text(), st.text())
def test_no_text_leaves_its_cell_or_starts_a_tag(one: str, other: str) -> None:
    lines = table([one], [[other]]).split("\n")

    assert len(lines) == 3
    for line in (lines[0], lines[2]):
        cell = line[2:-2]
        assert not re.search(r"(?<!\\)(?:\\\\)*\|", cell)
        assert not re.search(r"<[A-Za-z/!?]", cell)


def test_no_rows_are_said() -> None:
    assert table(["a"], []) == "None."


def test_empty_points_are_left_out() -> None:
    assert bullets(["a", "", "b"]) == "- a\n- b"
