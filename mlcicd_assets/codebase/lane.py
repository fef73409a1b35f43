"""The code lane of one project: where its checks stand, and running those that are due."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlcicd_assets.codebase.areas import ASSET, CodeShape, area_contents, check_fingerprint, counted, watched
from mlcicd_assets.codebase.findings import CheckResult, failure, kept
from mlcicd_assets.codebase.project import Project
from mlcicd_assets.codebase.registry import run_check
from mlcicd_assets.codebase.standing import Standing, check_asset, not_passed, standings
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from resources.protocols import Git, Lake, Landing, Materialization, Records


@dataclass(frozen=True)
class CodeLane:
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
        told = "; ".join(one.told for one in left)
        for record in self.records.all():
            if record.asset == ASSET:
                self.records.write(replace(record, failure=told))
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
