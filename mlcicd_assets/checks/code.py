"""The checks of the code: one blocking check each, run only where what it looks at has changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from mlcicd_assets.assets.source_code import KEY
from mlcicd_assets.codebase.areas import ASSET
from mlcicd_assets.codebase.findings import KEPT, CheckResult, kept
from mlcicd_assets.codebase.lane import CodeLane
from mlcicd_assets.codebase.registry import PROMISES
from mlcicd_assets.codebase.standing import Standing
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from resources.protocols import Git, Lake, Landing, Records


def code_checks(declared: CodeBaseDeclaration, defs: Path) -> dg.AssetChecksDefinition:
    """All of them in one step; each result is kept before it is shown."""
    specs = [
        dg.AssetCheckSpec(check, asset=KEY, blocking=True, description=PROMISES[check])
        for check in declared.checks
    ]

    @dg.multi_asset_check(name=f"{ASSET}__checks", specs=specs, can_subset=True)
    def _checks(
        context: dg.AssetCheckExecutionContext,
        git: dg.ResourceParam[Git],
        records: dg.ResourceParam[Records],
        lake: dg.ResourceParam[Lake],
        landing: dg.ResourceParam[Landing],
    ) -> Iterator[dg.AssetCheckResult]:
        asked = {key.name for key in context.selected_asset_check_keys}
        lane = CodeLane(declared, defs, git, records, lake, landing)
        for one in lane.standings():
            if one.check in asked:
                yield unchanged(one) if one.state == "passed" else shown(*lane.check(one, context.run.run_id))
        lane.conclude()

    return _checks


def shown(result: CheckResult, seconds: float) -> dg.AssetCheckResult:
    """A result as the UI shows it: what to mend, and what was looked at."""
    warned = result.passed and bool(result.findings)
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=result.check,
        passed=not result.findings if warned else result.passed,
        severity=dg.AssetCheckSeverity.WARN if warned else dg.AssetCheckSeverity.ERROR,
        description=result.summary(),
        metadata={**_tables(result), "looked at": result.looked_at, "seconds": round(seconds, 2)},
    )


def unchanged(one: Standing) -> dg.AssetCheckResult:
    """A check whose result still counts, and the run that it is from."""
    record = one.record
    at = record.at[:16].replace("T", " ") if record else ""
    result, _ = kept(one.check, record.details if record else "")
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=one.check,
        passed=True,
        description=f"skipped: nothing it looks at has changed since it passed on {at}",
        metadata={**_tables(result), "checked by run": record.run if record else ""},
    )


def _tables(result: CheckResult) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    if result.findings:
        found = [
            dg.TableRecord(
                {
                    "file": one.file,
                    "line": one.line or "",
                    "rule": one.rule,
                    "message": one.message,
                    "blocks": one.blocks,
                }
            )
            for one in result.shown
        ]
        tables["findings"] = dg.MetadataValue.table(found)
        tables["count"] = len(result.findings)
    if result.rows:
        tables["looked at each"] = dg.MetadataValue.table(
            [dg.TableRecord(dict(row)) for row in result.rows[:KEPT]]
        )
    return tables
