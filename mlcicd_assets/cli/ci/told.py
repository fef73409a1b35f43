"""What `mlcicd ci --json` printed, as a part of the report."""

from collections.abc import Mapping
from typing import Any

from mlcicd_assets.reports.document import Details, Lines, Section, Table, row

_SAID = {"passed": "✅ passed", "failed": "❌ failed", "skipped": "⏭ unchanged", "not tried": "⚠️ not tried"}


def results_section(results: Mapping[str, Any]) -> Section:
    """Checks and models that the tier tried, and its plan."""
    checks, models = results.get("checks", []), results.get("models", [])
    rows = [
        *((one["check"], _said(one), one.get("seconds", ""), one.get("message", "")) for one in checks),
        *((one["model"], _said(one), one.get("seconds", ""), one.get("message", "")) for one in models),
    ]
    table = Table(("what", "result", "seconds", "said"), tuple(row(cells) for cells in rows))
    plan = Details("Its plan", (Lines(tuple(results.get("plan", []))),))
    return Section(f"Tier {results.get('tier', '')}", (table,), (plan,))


def _said(one: Mapping[str, Any]) -> str:
    return _SAID.get(one.get("outcome", ""), str(one.get("outcome", "")))
