"""What a branch changes of the code, and what the code has passed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlcicd_assets.codebase.areas import AREAS, CodeShape, area_contents, by_area
from mlcicd_assets.codebase.findings import kept
from mlcicd_assets.codebase.standing import Standing, standings
from mlcicd_assets.reports.document import Details, Lines, Section, Table, Text, row

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session

_FILES = 200
_SAID = {"passed": "✅ passed", "failed": "❌ failed", "unchecked": "⏳ not checked"}


def code_section(session: "Session", changed: Sequence[str]) -> tuple[Section, list[Standing]]:
    """Files by area, and every declared check with where it stands."""
    areas = by_area(changed)
    counts = Table(
        ("area", "files changed"),
        tuple(row((area, len(areas[area]))) for area in AREAS if area in areas),
    )
    files = Details(f"Files changed ({len(changed)})", (Lines(tuple(changed[:_FILES])),))
    declared = session.catalogue.code
    if declared is None:
        asked = Text("No code base is declared: nothing is asked of the code.")
        return Section("Code", (counts, asked), (files,) if changed else ()), []
    shape = CodeShape.of(declared)
    found = standings(shape, area_contents(shape, session.git.files()), session.records.all())
    checks = Table(("check", "result", "what"), tuple(_check(one) for one in found))
    details = [one for standing in found if (one := _findings(standing))]
    return Section("Code", (counts, checks), (*details, *([files] if changed else []))), found


def _check(one: Standing) -> tuple[str, ...]:
    what = one.reason
    if one.state == "passed" and one.record:
        result, _ = kept(one.check, one.record.details)
        what = result.summary()
    return row((one.check, _SAID[one.state], what))


def _findings(one: Standing) -> Details | None:
    """What a check found, where that is of the code as it is now."""
    if one.record is None or one.state == "unchecked":
        return None
    result, count = kept(one.check, one.record.details)
    if not result.findings:
        return None
    rows = tuple(row((finding.place, finding.rule, finding.message)) for finding in result.shown)
    more = f", {len(rows)} of them shown" if count > len(rows) else ""
    return Details(f"{one.check}: {count} found{more}", (Table(("where", "rule", "message"), rows),))
