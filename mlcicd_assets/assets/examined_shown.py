"""What the UI shows of fairness, slices and robustness, beside the gates."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.fairness import FairnessEvidence
from mlcicd_assets.ml.evaluation.robustness import RobustnessEvidence
from mlcicd_assets.ml.evaluation.slices import SliceResult, SlicesEvidence
from mlcicd_assets.reports.wording import interval, number

# Groups and slices beyond these stand in evaluation.json.
_ROWS = 40


def examined_shown(evaluation: Evaluation) -> dict[str, Any]:
    """Tables of the sections that were measured."""
    shown: dict[str, Any] = {}
    if evaluation.fairness:
        shown |= _fairness(evaluation.fairness)
    if evaluation.slices:
        shown |= _slices(evaluation.slices)
    if evaluation.robustness:
        shown["robustness"] = _table(_disturbances(evaluation.robustness))
    return shown


def _fairness(section: FairnessEvidence) -> dict[str, Any]:
    groups = [
        {"group": f"{group.column}={group.value}", "rows": group.rows}
        | {
            name.replace("_", " "): f"{number(rate.value)} ({number(rate.low)} to {number(rate.high)})"
            + ("" if rate.counted else f", {rate.of} are too few")
            for name, rate in group.rates.items()
        }
        for group in section.groups
    ]
    gaps = [
        {
            "disparity": one.gate,
            "column": one.column,
            "value": number(one.value),
            "interval": interval(one.low, one.high),
            "between": one.missing or f"{one.lowest}; {one.highest}",
        }
        for one in section.disparities
    ]
    shown = {"fairness": _table(gaps), "groups": _table(groups)}
    return shown | ({"fairness, not defined": section.undefined} if section.undefined else {})


def _slices(section: SlicesEvidence) -> dict[str, Any]:
    shown = {"worst slices": _table(_slice(one, section.metric) for one in section.found)}
    if section.declared:
        shown["declared slices"] = _table(_slice(one, section.metric) for one in section.declared)
    return shown | ({"slices, not taken": "; ".join(section.problems)} if section.problems else {})


def _slice(one: SliceResult, metric: str) -> dict[str, Any]:
    return {
        "slice": one.name,
        "rows": one.rows,
        metric: number(one.metric.value),
        "interval": interval(one.metric.low, one.metric.high),
        "champion": number(one.champion.value if one.champion else None),
        "loss above the rest": number(one.difference),
        "its interval": interval(one.low, one.high),
        "effect": number(one.effect),
    }


def _disturbances(section: RobustnessEvidence) -> Iterable[Mapping[str, Any]]:
    for one in section.disturbances:
        example = ", ".join(f"{name}={value}" for name, value in one.example.items())
        yield {
            "disturbed": one.what,
            section.metric: number(one.value),
            "drop": number(one.drop),
            "interval": interval(one.low, one.high),
            "outcome": f"FAILED: {one.failure}; {example}" if one.failure else one.note or "held",
        }


def _table(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue:
    found = list(rows)[:_ROWS]
    columns = list(dict.fromkeys(name for row in found for name in row))
    records = [dg.TableRecord({name: row.get(name, "") for name in columns}) for row in found]
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in columns or ["none"]])
    return dg.MetadataValue.table(records, schema)
