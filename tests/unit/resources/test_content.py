"""The content hash: changes with any value, and with nothing else."""

import hashlib
import math
import struct
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.content import ColumnError, canonical, content_hash


def content(frame: pl.DataFrame) -> str:
    return content_hash(canonical(frame))


TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=6)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    pl.Int8: st.integers(-128, 127),
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.UInt32: st.integers(0, 2**32 - 1),
    pl.Float64: st.floats(),
    pl.Float32: st.floats(width=32),
    pl.Boolean: st.booleans(),
    pl.String: TEXT,
    pl.Binary: st.binary(max_size=4),
    pl.Date: st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    pl.Datetime("us"): st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
    pl.List(pl.Float64): st.lists(st.floats() | st.none(), max_size=3),
    pl.Struct({"a": pl.Int64, "b": pl.String}): st.fixed_dictionaries(
        {"a": st.integers(-9, 9) | st.none(), "b": TEXT | st.none()}
    ),
}


@st.composite
def frames(draw: st.DrawFn, min_rows: int = 0) -> pl.DataFrame:
    height = draw(st.integers(min_rows, 6))
    dtypes = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    columns = {}
    for index, dtype in enumerate(dtypes):
        values = st.lists(VALUES[dtype] | st.none(), min_size=height, max_size=height)
        columns[f"c{index}"] = pl.Series(draw(values), dtype=dtype)
    return pl.DataFrame(columns)


def told(value: Any, dtype: Any) -> Any:
    """A value as the content sees it: -0.0 is 0.0, NaN is NaN."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, list):
        return tuple(told(one, dtype.inner) for one in value)
    return tuple(sorted(value.items())) if isinstance(value, dict) else value


@settings(max_examples=150, deadline=None)
@given(frame=frames(), data=st.data())
def test_order_of_rows_and_columns_does_not_matter(frame: pl.DataFrame, data: st.DataObject):
    rows = data.draw(st.permutations(range(frame.height)))
    columns = data.draw(st.permutations(frame.columns))

    assert content(frame[list(rows)].select(columns)) == content(frame)


@settings(max_examples=150, deadline=None)
@given(frame=frames(min_rows=1), data=st.data())
def test_any_changed_value_changes_it(frame: pl.DataFrame, data: st.DataObject):
    column = data.draw(st.sampled_from(frame.columns))
    row = data.draw(st.integers(0, frame.height - 1))
    dtype = frame.schema[column]
    base = next(known for known in VALUES if known == dtype)
    values = frame[column].to_list()
    new = pl.Series([data.draw(VALUES[base] | st.none())], dtype=dtype).to_list()[0]
    changed = frame.with_columns(
        pl.Series(column, [new if at == row else old for at, old in enumerate(values)], dtype=dtype)
    )

    same = told(new, dtype) == told(values[row], dtype)
    rows_as_before = sorted(map(repr, _rows(changed))) == sorted(map(repr, _rows(frame)))

    assert (content(changed) == content(frame)) == (same or rows_as_before)


def _rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    dtypes = frame.dtypes
    return [tuple(map(told, row, dtypes)) for row in frame.iter_rows()]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": [1.0, None]}, {"a": [1.0, math.nan]}),
        ({"a": ["", "x"]}, {"a": [None, "x"]}),
        ({"a": ["ab", "c"]}, {"a": ["a", "bc"]}),
        ({"a": [1]}, {"b": [1]}),
        ({"a": [1]}, {"a": [1.0]}),
        ({"a": [1, 1]}, {"a": [1]}),
        ({"a": [[1], [2, 3]]}, {"a": [[1, 2], [3]]}),
        ({"a": [[]]}, {"a": [None]}),
        ({"a": [1, 2], "b": [3, 4]}, {"a": [1, 2], "b": [4, 3]}),
        ({"a": [datetime(2026, 1, 1)]}, {"a": [datetime(2026, 1, 1, tzinfo=UTC)]}),
        ({"a": [Decimal("1.2")]}, {"a": [Decimal("1.3")]}),
    ],
)
def test_different_content_has_a_different_hash(one: dict[str, Any], other: dict[str, Any]):
    assert content(pl.DataFrame(one, strict=False)) != content(pl.DataFrame(other, strict=False))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Series([0.0]), pl.Series([-0.0])),
        (pl.Series(["a", "b"]), pl.Series(["b", "a"], dtype=pl.Categorical)),
        (pl.Series([1, 2], dtype=pl.UInt16), pl.Series([2, 1], dtype=pl.Int32)),
        (
            pl.Series([datetime(2026, 1, 1)], dtype=pl.Datetime("ms")),
            pl.Series([datetime(2026, 1, 1)], dtype=pl.Datetime("ns")),
        ),
        (pl.Series([[1, 2]]), pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2))),
    ],
)
def test_the_same_content_in_another_form_has_the_same_hash(one: pl.Series, other: pl.Series):
    assert content(one.to_frame("a")) == content(other.to_frame("a"))


def test_chunks_and_slices_do_not_matter():
    frame = pl.DataFrame({"a": list(range(10)), "b": [f"text {n % 3}" if n % 4 else None for n in range(10)]})

    pieces = pl.concat([frame[:3], frame[3:4], frame[4:]], rechunk=False)

    assert content(pieces) == content(frame)
    assert content(pl.concat([frame, frame])[5:15]) == content(frame)


def test_hash_is_the_same_for_ever():
    frame = pl.DataFrame(
        {
            "number": [3, None, -7],
            "share": [0.5, math.nan, None],
            "name": ["Zoë", "", None],
            "at": [datetime(2026, 1, 2, 3, 4, 5, 678), None, datetime(1969, 7, 20)],
            "day": [date(2026, 1, 2), None, date(1969, 7, 20)],
            "yes": [True, False, None],
            "many": [[1, 2], [], None],
            "price": [Decimal("1.20"), None, Decimal("0.05")],
        },
        schema_overrides={"price": pl.Decimal(10, 2)},
    )

    assert content(frame) == "c331cbf487c4494e75b7b92c9e1fe590f8be4136b692a4d68cdc34d5a46aeb1b"
    assert content(pl.DataFrame()) == "7e2323b97032e9cd1c937c510d5aa67b731bbe8c70ff374dd9a50734e13cae75"


def test_hash_follows_its_definition():
    frame = pl.DataFrame({"b": ["é", None, ""], "a": [2, 1, None]})

    rows = [(None, b""), (1, None), (2, "é".encode())]  # sorted by a, then b
    spelt = b"mlcicd content 1\n" + struct.pack("<q", 3)
    spelt += struct.pack("<q", 1) + b"a" + struct.pack("<q", 5) + b"int64" + bytes([0b01100000])
    spelt += struct.pack("<qqq", *(a or 0 for a, _ in rows))
    spelt += struct.pack("<q", 1) + b"b" + struct.pack("<q", 6) + b"string" + bytes([0b10100000])
    spelt += struct.pack("<qqq", *(len(b or b"") for _, b in rows)) + b"".join(b or b"" for _, b in rows)

    assert content(frame) == hashlib.sha256(spelt).hexdigest()


def test_columns_that_no_table_keeps_are_named():
    with pytest.raises(ColumnError, match="column 'took' is Duration"):
        canonical(pl.DataFrame({"took": [timedelta(1)]}))
    with pytest.raises(ColumnError, match="does not fit into 64 bits"):
        canonical(pl.DataFrame({"big": pl.Series([2**64 - 1], dtype=pl.UInt64)}))
