"""The checks of the code: one blocking check each, run only where what it looks at has changed."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from mlcicd_assets.assets.recording import refuse
from mlcicd_assets.assets.source_code import KEY
from mlcicd_assets.codebase.areas import ASSET, CodeShape, area_contents, check_fingerprint, counted, watched
from mlcicd_assets.codebase.findings import KEPT, CheckResult, failure, kept
from mlcicd_assets.codebase.lane import PROMISES, run_check
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.standing import Standing, check_asset, not_passed, standings
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from resources.protocols import Git, Lake, Landing, Materialization, Records


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
        lane = Lane(declared, defs, git, records, lake, landing)
        for one in lane.standings():
            if one.check in asked:
                yield unchanged(one) if one.state == "passed" else shown(*lane.check(one, context.run.run_id))
        lane.conclude()

    return _checks


@dataclass(frozen=True)
class Lane:
    """The code as it is on disk, and the records of what it passed."""

    declared: CodeBaseDeclaration
    defs: Path
    git: Git
    records: Records
    lake: Lake | None = None
    landing: Landing | None = None

    @property
    def shape(self) -> CodeShape:
        """What the declaration looks at."""
        return CodeShape.of(self.declared)

    def standings(self) -> list[Standing]:
        """Where every check stands now."""
        return standings(self.shape, self._areas(), self.records.all())

    def check(self, one: Standing, run: str) -> tuple[CheckResult, float]:
        """Run a check now and keep what it said, with the seconds that it took."""
        started = time.perf_counter()
        files = self.git.files()
        before = area_contents(self.shape, files)
        memory = kept(one.check, one.record.details)[0].memory if one.record else {}
        result = run_check(
            one.check,
            Project(
                self.git.root,
                counted(self.shape, files),
                self.declared,
                self.defs,
                self.lake,
                self.landing,
                os.environ,
                {one.check: memory},
            ),
        )
        if watched(one.check, before) != watched(one.check, self._areas()):
            # What was looked at is gone: neither state of it is known.
            result = failure(
                one.check, "not checked", "files changed while they were looked at: run it again"
            )
        seconds = time.perf_counter() - started
        self._keep(result, before, run, seconds)
        return result, seconds

    def conclude(self) -> list[Standing]:
        """Say on the record of `source_code` what stands in the way of everything made from it."""
        left = not_passed(self.standings())
        refuse(self.records, ASSET, {None: "; ".join(one.told for one in left)})
        return left

    def _areas(self) -> dict[str, str]:
        return area_contents(self.shape, self.git.files())

    def _keep(self, result: CheckResult, areas: Mapping[str, str], run: str, seconds: float) -> None:
        self.records.write(
            Materialization(
                asset=check_asset(result.check),
                partition=None,
                code=check_fingerprint(result.check, self.shape, areas),
                inputs=watched(result.check, areas),
                content="passed" if result.passed else "failed",
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                run=run,
                seconds=round(seconds, 3),
                failure="" if result.passed else result.summary(),
                details=result.text(),
            )
        )


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
