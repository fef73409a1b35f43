"""`source_code`: the project's code as it is on disk, and whether a model may be made from it."""

import time
from collections.abc import Mapping
from typing import Any

import dagster as dg

from mlcicd_assets.assets.recording import code_metadata, remember
from mlcicd_assets.codebase.areas import (
    AREAS,
    ASSET,
    CodeShape,
    area_contents,
    by_area,
    counted,
    tree_content,
)
from mlcicd_assets.codebase.standing import Standing, not_passed, standings
from mlcicd_assets.ml.code.asset_code import AssetCode
from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration
from mlcicd_assets.ml.training.training_record import CodeUsed
from resources.protocols import Git, Materialization, Records

KEY = dg.AssetKey([ASSET])
UNFINISHED = "its checks have not finished"


def source_code(declared: CodeBaseDeclaration) -> dg.AssetsDefinition:
    """The content of every file that counts, uncommitted ones included."""
    shape = CodeShape.of(declared)
    code = AssetCode(parameters={"paths": ", ".join(shape.paths), **shape.checks})

    @dg.asset(
        key=KEY,
        group_name="code",
        owners=[declared.owner],
        kinds={"python", "git"},
        tags={"lane": "code"},
        code_version=code.version,
        metadata=code_metadata(code),
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=declared.description
        or "The project's code as it is on disk, uncommitted changes included.",
    )
    def _source_code(
        context: dg.AssetExecutionContext, git: dg.ResourceParam[Git], records: dg.ResourceParam[Records]
    ) -> dg.MaterializeResult:
        started = time.perf_counter()
        files = git.files()
        areas, known = area_contents(shape, files), records.all()
        before = next((record for record in known if record.asset == ASSET), None)
        content = tree_content(areas)
        remember(
            context,
            records,
            inputs=areas,
            content=content,
            seconds=time.perf_counter() - started,
            failure=UNFINISHED,
        )
        found = standings(shape, areas, known)
        return dg.MaterializeResult(
            metadata={
                **_revision(git),
                **_areas(shape, files, areas, before),
                "checks": dg.MetadataValue.table([_planned(one) for one in found]),
            },
            data_version=dg.DataVersion(content),
        )

    return _source_code


def require_passed(declared: CodeBaseDeclaration | None, git: Git, records: Records) -> CodeUsed | None:
    """What was checked of the code as it is now; None where no code base is declared.

    Raises Failure where any declared check has failed, or was not run, for exactly this code: Dagster's
    blocking checks hold within one run only.
    """
    if declared is None:
        return None
    shape = CodeShape.of(declared)
    areas = area_contents(shape, git.files())
    found = standings(shape, areas, records.all())
    left = not_passed(found)
    if left:
        raise dg.Failure(
            f"the code as it is has not passed {'; '.join(one.told for one in left)}. Mend that, then: "
            f"dagster asset materialize -f definitions.py --select 'key:\"{ASSET}\"'",
            allow_retries=False,
        )
    passed = {one.check: one.record.run for one in found if one.record}
    return CodeUsed(tree=tree_content(areas), checks=passed)


def _revision(git: Git) -> dict[str, Any]:
    revision = git.revision()
    return {
        "commit": revision.commit,
        "branch": git.branch() or "none",
        "uncommitted changes": revision.dirty,
    }


def _areas(
    shape: CodeShape, files: Mapping[str, str], areas: Mapping[str, str], before: Materialization | None
) -> dict[str, Any]:
    names = by_area(counted(shape, files))
    known = before.inputs if before else {}
    changed = [area for area in AREAS if areas.get(area) != known.get(area)]
    rows = [
        dg.TableRecord(
            {
                "area": area,
                "files": len(names.get(area, [])),
                "content": areas.get(area, ""),
                "changed": "yes" if area in changed else "",
            }
        )
        for area in AREAS
        if area in areas or area in known
    ]
    return {
        "changed areas": ", ".join(changed) or "none since the last run" if before else "all: the first run",
        "areas": dg.MetadataValue.table(rows),
    }


def _planned(one: Standing) -> dg.TableRecord:
    """Whether a check runs now, and why; or by which run it stands."""
    if one.state == "passed" and one.record:
        said = f"unchanged since it passed on {one.record.at[:16].replace('T', ' ')}"
        return dg.TableRecord({"check": one.check, "now": "skipped", "because": said})
    because = f"it failed: {one.reason}" if one.state == "failed" else one.reason
    return dg.TableRecord({"check": one.check, "now": "runs", "because": because[:300]})
