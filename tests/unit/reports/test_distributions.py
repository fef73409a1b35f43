"""The small picture of a table: any column type, small, the same bytes for the same rows."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.reports.distributions import MAXIMUM, distributions_picture

RNG = np.random.default_rng(0)


def table(columns: int, rows: int = 5_000) -> pl.DataFrame:
    return pl.DataFrame({f"a_rather_long_name_{i}": RNG.normal(0, 1, rows) for i in range(columns)})


@pytest.mark.parametrize("columns", [1, 20, MAXIMUM + 30])
def test_it_is_small(columns: int):
    picture = distributions_picture(table(columns))

    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 30_000


ODD = {
    "nothing": pl.Series([None, None], dtype=pl.Float64),
    "no type": pl.Series([None, None]),
    "no number": pl.Series([float("nan"), float("inf")]),
    "one value": pl.Series([3, 3]),
    "text": pl.Series(["a", None]),
    "flags": pl.Series([True, None]),
    "days": pl.Series([date(2026, 1, 1), None]),
    "instants": pl.Series([datetime(2026, 1, 1, tzinfo=UTC), None]),
    "spans": pl.Series([timedelta(hours=1), None]),
    "lists": pl.Series([[1], None]),
    "records": pl.Series([{"a": 1}, None]),
    "bytes": pl.Series([b"a", None]),
    "categories": pl.Series(["a", "b"], dtype=pl.Categorical),
    "formulas": pl.Series(["$x$", "$\\bad{"]),
}


def test_any_column_is_drawn_and_the_same_rows_give_the_same_bytes():
    frame = pl.DataFrame(ODD)

    assert distributions_picture(frame) == distributions_picture(frame)
    assert distributions_picture(frame.clear()).startswith(b"\x89PNG")
    assert distributions_picture(frame.rename({"text": "$\\bad{"})).startswith(b"\x89PNG")
