from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.fingerprint import (
    FingerprintError,
    combine,
    python_fingerprint,
    source_fingerprint,
    value_fingerprint,
)

SOURCE = 'import math\n\ndef f(x: int) -> float:\n    """Half."""\n    return math.sqrt(x) / 2\n'


@pytest.mark.parametrize(
    "same",
    [
        SOURCE.replace('"""Half."""', '"""Another docstring."""'),
        SOURCE.replace('    """Half."""\n', ""),
        "# a comment\n" + SOURCE.replace("\n\n", "\n\n\n"),
        SOURCE.replace("math.sqrt(x) / 2", "(\n        math.sqrt( x )  # half\n        / 2\n    )"),
        '"""A module."""\n' + SOURCE,
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(same: str) -> None:
    assert source_fingerprint(same) == source_fingerprint(SOURCE)


@pytest.mark.parametrize(
    "other",
    [
        SOURCE.replace("/ 2", "/ 3"),
        SOURCE.replace("x", "y"),
        SOURCE.replace("int", "float", 1),
        SOURCE + "\nf(2)\n",
        SOURCE.replace("math.sqrt(x) / 2", "'Half.'"),
    ],
)
def test_what_runs_counts(other: str) -> None:
    assert source_fingerprint(other) != source_fingerprint(SOURCE)


def test_a_file_is_its_content(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(SOURCE)

    assert python_fingerprint(tmp_path / "a.py") == python_fingerprint(tmp_path / "b.py")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")

    with pytest.raises(FingerprintError, match=r"broken\.py, line 2: syntax error"):
        python_fingerprint(tmp_path / "broken.py")
    with pytest.raises(FingerprintError, match=r"absent\.py: cannot be read"):
        python_fingerprint(tmp_path / "absent.py")


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.none())))
def test_a_value_counts_whatever_the_order_of_its_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))

    assert value_fingerprint(turned) == value_fingerprint(value)
    assert value_fingerprint({**value, "more": 1}) != value_fingerprint({**value, "more": 2})


def test_the_order_of_parts_counts() -> None:
    assert combine(["a", "b"]) != combine(["b", "a"])
    assert combine(["ab"]) != combine(["a", "b"])
