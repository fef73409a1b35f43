"""Finding records that are not unique without holding them: eight bytes for each record."""

from collections.abc import Sequence

import numpy as np
import polars as pl

# Up to so many records are compared themselves; beyond, equal hashes of 64 bits are taken for equal keys.
_COMPARED = 1_000_000
_HASH = "\0hash"


def duplicates(
    records: pl.LazyFrame, columns: Sequence[str], shown: Sequence[str]
) -> tuple[int, pl.DataFrame]:
    """How many records share their `columns` with another, and those records' `shown` columns.

    Keys that are equal have equal hashes, so records whose hash stands alone are unique for certain. Only the
    others are compared.
    """
    key = (pl.col(columns[0]) if len(columns) == 1 else pl.struct(columns)).hash(seed=0)
    hashes = records.select(key.alias(_HASH)).collect(engine="streaming").to_series().to_numpy()
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not twice.size:
        return 0, pl.DataFrame()
    known = dict.fromkeys([*columns, *(name for name in shown if name in records.collect_schema())])
    suspects = records.filter(key.is_in(pl.Series(twice).implode()))
    found = suspects.select(list(known)).head(_COMPARED + 1).collect(engine="streaming")
    if found.height > _COMPARED:
        return int(np.isin(hashes, twice).sum()), found.head(10)
    same = found.filter(pl.struct(columns).is_duplicated())
    return same.height, same
