"""The check `feature_contract`: a row's features are the same alone, in small batches, and in any order.

A server computes them for one request, training for a partition: a function that looks at its batch (a mean,
a rank, the row before) gives both something else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from mlcicd_assets.codebase.findings import CheckResult, Finding, plural
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.records import records_at_hand
from mlcicd_assets.ml.catalogue import DataLane, load_all, read_reference
from mlcicd_assets.ml.data.features import FeatureFunction, compute_features, differing_columns
from mlcicd_assets.ml.user_code import load_function

CHECK = "feature_contract"
_ALONE = 16
_BATCH = 7
_SMALL = 10 * _BATCH
_LOOKUP_ROWS = 100_000
_REMEDY = "use only the row itself and the lookups, no statistics of the batch, and keep the order of rows"


@dataclass(frozen=True)
class _Tried:
    lane: DataLane
    function: FeatureFunction
    records: pl.DataFrame
    lookups: Mapping[str, pl.DataFrame]
    whole: pl.DataFrame

    def again(self, records: pl.DataFrame) -> pl.DataFrame:
        return _features(self.function, records, self.lookups, self.lane)


def check_feature_contract(project: Project) -> CheckResult:
    """Every dataset that has features, on records at hand."""
    datasets = load_all(project.defs).datasets
    with_features = [lane for lane in datasets.values() if lane.dataset.features]
    findings: list[Finding] = []
    rows: list[Mapping[str, str | int | float]] = []
    for lane in with_features:
        found, about = _of_dataset(project, lane, datasets)
        findings += found
        rows.append({"dataset": lane.dataset.name, **about})
    looked_at = plural(len(with_features), "features function")
    return CheckResult(CHECK, tuple(findings), looked_at, tuple(rows))


def _of_dataset(
    project: Project, lane: DataLane, datasets: Mapping[str, DataLane]
) -> tuple[list[Finding], dict[str, str | int | float]]:
    path, name = read_reference(lane.folder, lane.dataset.features or "")
    file, where = project.named(path), "nothing"
    try:
        function = load_function(path, name)
        records, where = records_at_hand(project, lane, project.declared.feature_contract.rows)
        lookups = {
            one: records_at_hand(project, datasets[one], _LOOKUP_ROWS)[0]
            for one in lane.dataset.lookups
            if one in datasets
        }
        whole = _features(function, records, lookups, lane)
        tried = _Tried(lane, function, records, lookups, whole)
        found = [
            Finding(file, _line(path.read_text(), name), rule, message)
            for rule, message in _differences(tried)
        ]
        about: dict[str, str | int | float] = {
            "rows": records.height,
            "of": where,
            "features": whole.width,
            "differences": len(found),
        }
    except Exception as error:  # noqa: BLE001  whatever a user's function raises is the finding
        told = " ".join(str(error).split()) or type(error).__name__
        return [Finding(file, None, "raised", f"{lane.dataset.name}: {told}")], {"rows": 0, "of": where}
    return found, about


def _features(
    function: FeatureFunction, records: pl.DataFrame, lookups: Mapping[str, pl.DataFrame], lane: DataLane
) -> pl.DataFrame:
    lazy = {name: table.lazy() for name, table in lookups.items()}
    return compute_features(function, records, lazy, hidden=lane.dataset.hidden, probes=0)


def _differences(tried: _Tried) -> Iterator[tuple[str, str]]:
    """The rule that a column breaks, and by what; each column once for each rule."""
    height = tried.records.height
    alone = sorted({int(row) for row in np.linspace(0, height - 1, min(_ALONE, height))})
    yield from _compared(tried, "single row", [[row] for row in alone], "alone")
    small = [
        list(range(start, min(start + _BATCH, height))) for start in range(0, min(_SMALL, height), _BATCH)
    ]
    yield from _compared(tried, "small batch", small, f"among {_BATCH}")
    shuffled = np.random.default_rng(0).permutation(height).tolist()
    yield from _compared(tried, "order of rows", [shuffled], "in another order")


def _compared(tried: _Tried, rule: str, batches: list[list[int]], how: str) -> Iterator[tuple[str, str]]:
    told: set[str] = set()
    for rows in batches:
        again, together = tried.again(tried.records[rows]), tried.whole[rows]
        for column in differing_columns(again, together):
            if column not in told:
                told.add(column)
                yield (
                    rule,
                    f"{tried.lane.dataset.name}: {_example(column, again, together, rows, how)}; {_REMEDY}",
                )


def _example(column: str, again: pl.DataFrame, together: pl.DataFrame, rows: list[int], how: str) -> str:
    if column not in again.columns or column not in together.columns:
        return f"the column {column!r} is not there every time"
    different = again[column].ne_missing(together[column])
    at = int(different.arg_max() or 0)
    return (
        f"{column} of row {rows[at]} is {together[column][at]} in the whole batch, {again[column][at]} {how}"
    )


def _line(source: str, name: str) -> int | None:
    import ast

    body = ast.parse(source).body
    return next((one.lineno for one in body if isinstance(one, ast.FunctionDef) and one.name == name), None)
