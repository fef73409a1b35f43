"""The comparison with the champion, in brief, for the asset's page in the UI."""

from typing import Any

import dagster as dg

from mlcicd_assets.ml.evaluation.significance import MetricEvidence, Significance
from mlcicd_assets.reports.wording import interval, number


def significance_shown(found: Significance | None) -> dict[str, Any]:
    """The verdict in words, and every metric's interval as a table; nothing where nothing was measured."""
    if found is None:
        return {}
    rows = [dg.TableRecord(_row(one)) for one in found.metrics if one.method or one.decides]
    verdict = {"against the champion": found.verdict.replace("_", " ")} if found.verdict else {}
    return {**verdict, "intervals": dg.MetadataValue.table(rows)} if rows else verdict


def _row(one: MetricEvidence) -> dict[str, str]:
    return {
        "metric": f"{one.metric} (decides)" if one.decides else one.metric,
        "challenger": number(one.value),
        "interval": interval(one.low, one.high),
        "champion": number(one.champion),
        "gain": number(one.gain),
        "interval of the gain": interval(one.gain_low, one.gain_high),
        "verdict": (one.verdict or "").replace("_", " "),
        "rows that would decide": f"{one.rows_needed:,}" if one.rows_needed else "",
        "method": one.method or one.reason,
    }
