"""The command: says its plan first, then does it. `fast` keeps no model; `full` makes what is stale."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.automation.staleness import Status
    from mlcicd_assets.codebase.lane import CodeLane
    from mlcicd_assets.codebase.standing import Standing
    from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration

_RUN = "mlcicd ci"


class Tier(StrEnum):
    """How much runs."""

    fast = "fast"
    full = "full"


@dataclass
class Results:
    """What was planned and what came of it, as JSON values."""

    tier: str
    plan: list[str]
    checks: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    passed: bool = True


def ci(
    context: typer.Context,
    tier: Annotated[
        Tier,
        typer.Option("--tier", help="fast: code lane and training on a sample; full: all that is stale."),
    ] = Tier.fast,
    base: Annotated[
        str, typer.Option("--base", help="Only models that differ from this branch or commit are tried.")
    ] = "",
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option("--out", help="Keep the JSON in a file as well.")] = None,
) -> None:
    """Do what CI does for a change; exits 1 when something failed."""
    session = session_of(context)
    results = full(session) if tier == Tier.full else fast(session, base)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(asdict(results), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(asdict(results))
    if not results.passed:
        raise typer.Exit(1)


def full(session: Session) -> Results:
    """The whole plan of what is stale, in runs of Dagster."""
    from mlcicd_assets.automation.planning import preview
    from mlcicd_assets.cli.assessment import assess_all, blueprint_of
    from mlcicd_assets.cli.stale import summary
    from mlcicd_assets.cli.stale_run import run_stale

    blueprint = blueprint_of(session)
    statuses = assess_all(session, blueprint)
    plan = [f"run: {summary(one)}" for one in preview(blueprint, statuses)] or ["nothing is stale"]
    results = Results("full", [*plan, *_held(statuses)])
    _say(results.plan)
    results.passed = run_stale(session) == 0
    return results


def fast(session: Session, base: str) -> Results:
    """The checks that are due, then the models concerned on a sample."""
    declared, broken = _declared(session)
    lane = _lane(session, declared) if declared else None
    standings = lane.standings() if lane else []
    models, why = ([], broken) if broken else concerned(session, base)
    results = Results("fast", [*_code_plan(standings), *_model_plan(models, why)])
    results.passed = not broken
    _say(results.plan)
    if lane:
        for one in standings:
            _check(lane, one, results)
        lane.conclude()
    for name in models:
        _try(session, name, results)
    _say(["all of it passed" if results.passed else "FAILED"])
    return results


def _declared(session: Session) -> "tuple[CodeBaseDeclaration | None, str]":
    """The code base, and what is wrong with the declarations: its checks run all the same, and tell it."""
    from mlcicd_assets.ml.catalogue import DeclarationError, readable_code

    try:
        return session.catalogue.code, ""
    except DeclarationError as error:
        return readable_code(), str(error)


def concerned(session: Session, base: str) -> tuple[list[str], str]:
    """The models to try: those whose code, declaration or data's code differs from `base`; else all."""
    every = list(session.catalogue.models)
    if not base:
        return every, "no --base is given: every model"
    from mlcicd_assets.automation.downstream import downstream
    from mlcicd_assets.cli.assessment import blueprint_of
    from mlcicd_assets.cli.report.plan import declared_changes

    blueprint = blueprint_of(session)
    changed, unknown = declared_changes(session, session.git.fork_point(base))
    if unknown:
        return every, f"{unknown}: every model"
    known = [asset for asset in changed if asset in blueprint.codes]
    reached = {*known, *(below for asset in known for below in downstream(blueprint, asset))}
    found = [name for name in every if f"{name}/trained_model" in reached]
    return (
        found,
        f"nothing that {', '.join(set(every) - set(found)) or 'none'} is made by differs from {base}",
    )


def _lane(session: Session, declared: "CodeBaseDeclaration") -> "CodeLane":
    from mlcicd_assets.cli.report.plan import folder_of_declarations
    from mlcicd_assets.codebase.lane import CodeLane

    defs = folder_of_declarations(session)
    return CodeLane(declared, defs, session.git, session.records, session.lake, session.landing)


def _code_plan(found: "Sequence[Standing]") -> list[str]:
    if not found:
        return ["code: no code base is declared, so nothing is checked"]
    due = [f"{one.check} ({one.reason[:80]})" for one in found if one.state != "passed"]
    left = [one.check for one in found if one.state == "passed"]
    return [
        f"code: {'runs ' + ', '.join(due) if due else 'nothing to check'}"
        + (f"; skips {', '.join(left)}: unchanged since they passed" if left else "")
    ]


def _model_plan(models: Sequence[str], why: str) -> list[str]:
    tried = f"tries {', '.join(models)} on a sample" if models else "tries none"
    return [f"models: {tried}; {why}", "data: nothing is materialized; nothing is registered"]


def _held(statuses: "Sequence[Status]") -> list[str]:
    return [f"held: {one.name}: {one.reason}" for one in statuses if one.state == "held"]


def _check(lane: "CodeLane", one: "Standing", results: Results) -> None:
    if one.state == "passed":
        results.checks.append(
            {"check": one.check, "outcome": "skipped", "message": "unchanged", "findings": []}
        )
        return
    found, seconds = lane.check(one, _RUN)
    results.passed = results.passed and found.passed
    results.checks.append(
        {
            "check": found.check,
            "outcome": "passed" if found.passed else "failed",
            "message": found.summary(),
            "seconds": round(seconds, 1),
            "count": len(found.findings),
            "findings": [asdict(finding) for finding in found.shown],
        }
    )
    _say([f"{'ok    ' if found.passed else 'FAILED'} {found.check} ({seconds:.1f} s): {found.summary()}"])
    _say([f"         {finding.told}" for finding in found.shown[:10]])


def _try(session: Session, name: str, results: Results) -> None:
    from mlcicd_assets.cli.report.plan import folder_of_declarations
    from mlcicd_assets.codebase.project import Project
    from mlcicd_assets.codebase.rehearsal import rehearse
    from mlcicd_assets.ml.code.codebase import CodeBaseDeclaration

    catalogue = session.catalogue
    declared = catalogue.code or CodeBaseDeclaration(owner="nobody")
    project = Project(
        session.git.root,
        {},
        declared,
        folder_of_declarations(session),
        session.lake,
        session.landing,
    )
    found = rehearse(project, catalogue.models[name], catalogue.datasets)
    results.passed = results.passed and found.outcome != "failed"
    results.models.append(asdict(found))
    metric = catalogue.models[name].model.champion.metric
    value = found.metrics.get(metric)
    measured = f"; {metric} {value:.4g} (of a sample: it decides nothing)" if value is not None else ""
    said = {"passed": "ok    ", "failed": "FAILED"}.get(found.outcome, "NOT TRIED")
    _say([f"{said} {name} ({found.seconds:.1f} s): {found.message}{measured}"])


def _say(lines: Sequence[str]) -> None:
    """To people, on standard error: standard output is the JSON's."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)
