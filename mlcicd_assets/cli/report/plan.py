"""What will run again and why, lane by lane, and what is left alone and why."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.automation.blueprint import DEFS, Blueprint, current_codes
from mlcicd_assets.automation.changes import changed_assets
from mlcicd_assets.automation.planning import preview
from mlcicd_assets.automation.staleness import Status
from mlcicd_assets.cli.stale import duration, groups
from mlcicd_assets.codebase.areas import ASSET
from mlcicd_assets.codebase.findings import plural
from mlcicd_assets.reports.document import Block, Details, Lines, Section, Table, Text, row

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session

LANES = ("code", "data", "model")


def lane_of(blueprint: Blueprint, asset: str) -> str:
    """code, data or model."""
    if asset == ASSET:
        return "code"
    return "model" if asset.split("/")[0] in blueprint.models else "data"


def declared_changes(session: "Session", commit: str) -> tuple[dict[str, str], str]:
    """What a commit's declarations and functions had otherwise, by asset; and why that is not known."""
    from mlcicd_assets.ml.catalogue import DeclarationError, load_all
    from mlcicd_assets.ml.fingerprint import FingerprintError

    defs = folder_of_declarations(session)
    try:
        within = defs.resolve().relative_to(session.git.root.resolve())
    except ValueError:
        return {}, f"the declarations in {defs} are not within the repository"
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        before = session.git.export(commit, Path(scratch)) / within
        try:
            codes = current_codes(load_all(before)) if before.is_dir() else {}
        except (DeclarationError, FingerprintError) as error:
            return (
                {},
                f"the declarations of then cannot be read: {str(error).replace(str(before), within.name)}",
            )
    return changed_assets(codes, current_codes(session.catalogue)), ""


def folder_of_declarations(session: "Session") -> Path:
    """Where the declarations are that the session works with."""
    if not session.given:  # asked before the catalogue, which may not be readable
        return DEFS
    folders = [lane.folder for lane in session.catalogue.datasets.values()]
    return folders[0].parent if folders else DEFS


def lanes_section(
    blueprint: Blueprint, changed: Mapping[str, str], unknown: str, statuses: Sequence[Status]
) -> Section:
    """Which lanes a change concerns: by its own declarations and functions, and by what stands here."""
    rows = tuple(row((lane, *_lane(blueprint, lane, changed, statuses))) for lane in LANES)
    each = Table(("asset", "what changed"), tuple(row(one) for one in changed.items()))
    blocks: list[Block] = [
        Table(("lane", "in this change", "here"), rows),
        *([Text(unknown)] if unknown else []),
    ]
    folded = (Details(f"What changes of {plural(len(changed), 'asset')}", (each,)),) if changed else ()
    return Section("What changes", tuple(blocks), folded)


def _lane(
    blueprint: Blueprint, lane: str, changed: Mapping[str, str], statuses: Sequence[Status]
) -> tuple[str, str]:
    mine = [one for one in statuses if lane_of(blueprint, one.asset) == lane]
    assets = [asset for asset in changed if lane_of(blueprint, asset) == lane]
    said = (
        f"{plural(len(assets), 'asset')}: {', '.join(assets[:4])}{' …' if len(assets) > 4 else ''}"
        if assets
        else "nothing"
    )
    counts = {
        state: sum(one.state == state for one in mine) for state in ("stale", "held", "waiting", "fresh")
    }
    here = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return (said if lane != "code" else "see Code below", here or "nothing declared")


def plan_section(blueprint: Blueprint, statuses: Sequence[Status]) -> Section:
    """The runs, then what each lane leaves alone."""
    runs = list(preview(blueprint, statuses))
    rows = [
        row((state.state, _span(state, last), state.reason, _seconds(group)))
        for group in groups([one for one in statuses if one.state != "fresh"])
        for state, last in [(group[0], group[-1])]
    ]
    told = [f"{number}. {_run(one.assets, one.partition_range)}" for number, one in enumerate(runs, start=1)]
    summary = f"{len(runs)} runs at most." if len(runs) > 1 else "One run." if runs else "Nothing to run."
    seconds = sum(one.seconds for one in runs)
    if seconds:
        summary = f"{summary} About {duration(seconds)} by what was recorded."
    blocks = (Text(summary), Lines(tuple(told)), Text("Left alone:"), Lines(_skipped(blueprint, statuses)))
    details = (Details(f"Why ({len(rows)})", (Table(("state", "asset", "why", "takes"), tuple(rows)),)),)
    return Section("Plan", blocks if runs else (blocks[0], *blocks[2:]), details if rows else ())


def _skipped(blueprint: Blueprint, statuses: Sequence[Status]) -> tuple[str, ...]:
    lines = []
    for lane in LANES:
        mine = [one for one in statuses if lane_of(blueprint, one.asset) == lane]
        lines.append(f"{lane}: {_left(mine)}" if mine else f"{lane}: nothing is declared")
    return tuple(lines)


def _left(mine: Sequence[Status]) -> str:
    left = sum(one.state == "fresh" for one in mine)
    kept = {state: sum(one.state == state for one in mine) for state in ("held", "waiting")}
    why = {"held": "held by a failed check", "waiting": "waiting for records"}
    told = [f"{number} {why[state]}" for state, number in kept.items() if number]
    if left:
        all_of_it = "all of it" if left == len(mine) else f"{left} of {len(mine)}"
        told.insert(0, f"{all_of_it}: what it is made of and by has not changed")
    return "; ".join(told) or "nothing"


def _run(assets: Sequence[str], partitions: str | None) -> str:
    return f"{', '.join(assets)}{f' ({partitions})' if partitions else ''}"


def _span(first: Status, last: Status) -> str:
    return first.name if first is last else f"{first.name}...{last.partition}"


def _seconds(group: Sequence[Status]) -> str:
    known = [one.seconds for one in group if one.seconds is not None]
    return duration(sum(known)) if known and group[0].state == "stale" else ""
