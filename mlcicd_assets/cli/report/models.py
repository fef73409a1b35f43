"""Each candidate against its champion: metrics with intervals, gates, cost, links."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.cli.proofs import candidate, champion_version
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import GateResult, decide
from mlcicd_assets.release.run_files import EVALUATION
from mlcicd_assets.reports.document import Block, Details, Link, Section, Table, Text, row
from mlcicd_assets.reports.wording import interval, number, signed

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session
    from mlcicd_assets.ml.catalogue import ModelLane

_SAID = {True: "✅ yes", False: "❌ no"}


def models_section(session: "Session") -> tuple[Section, list[str]]:
    """One part for each model that was evaluated; also the failed gates, in words."""
    blocks: list[Block] = []
    details: list[Details] = []
    failed: list[str] = []
    for name in sorted(session.catalogue.models):
        lane = session.catalogue.models[name]
        evaluated = _evaluated(session, lane)
        if evaluated is None:
            blocks.append(Text(f"{name}: nothing has been trained and evaluated here."))
            continue
        evaluation, run_id = evaluated
        gates = decide(lane.model, evaluation, lane.code_checks)
        bad = [gate for gate in gates if not gate.passed]
        failed += [f"{name}: {gate.message}" for gate in bad]
        blocks.append(Text(_heading(session, name, evaluation, gates)))
        blocks.append(_metrics(lane, evaluation))
        details += _details(name, lane, evaluation, gates)
        address = session.tracking.url(run_id)
        blocks.append(Link(f"Run of {name}", address))
    return Section("Models", tuple(blocks), tuple(details)), failed


def _evaluated(session: "Session", lane: "ModelLane") -> tuple[Evaluation, str] | None:
    """The newest candidate's evaluation, and its run."""
    trained = candidate(session.ledger, lane.model.name)
    if trained is None or not session.tracking.has(trained.run_id, EVALUATION):
        return None
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        path = session.tracking.fetch(trained.run_id, EVALUATION, Path(scratch))
        return Evaluation.model_validate_json(path.read_bytes()), trained.run_id


def _heading(session: "Session", name: str, evaluation: Evaluation, gates: Sequence[GateResult]) -> str:
    bad = sum(not gate.passed for gate in gates)
    said = f"{bad} of {len(gates)} gates failed" if bad else f"all {len(gates)} gates passed"
    opponent = evaluation.champion
    against = f"against champion version {opponent.version}" if opponent else "the first release"
    serving = champion_version(session.ledger, name)
    told = f"{name} {evaluation.digest[:12]} ({against}): {said}"
    return f"{told}; version {serving} serves" if serving else told


def _metrics(lane: "ModelLane", evaluation: Evaluation) -> Table:
    """The metrics that a gate or the comparison names, first those that decide."""
    columns = ("metric", "challenger", "champion", "gain", "95 %", "verdict")
    named = {*lane.model.gates, *lane.model.champion.margins}
    found = evaluation.significance
    if found:
        columns = (*columns[:4], f"{100 * found.confidence:g} %", columns[5])
        evidence = sorted(found.metrics, key=lambda one: (not one.decides, one.metric not in named))
        rows = [
            (
                one.metric,
                number(one.value),
                number(one.champion),
                signed(one.gain) if one.gain is not None else "",
                interval(one.gain_low, one.gain_high),
                one.verdict or "",
            )
            for one in evidence
            if one.decides or one.metric in named
        ]
        return Table(columns, tuple(row(cells) for cells in rows))
    mine = [(name, number(evaluation.metrics.get(name)), "", "", "", "") for name in sorted(named)]
    return Table(columns, tuple(row(cells) for cells in mine))


def _details(
    name: str, lane: "ModelLane", evaluation: Evaluation, gates: Sequence[GateResult]
) -> list[Details]:
    ordered = sorted(gates, key=lambda gate: gate.passed)
    table = Table(
        ("gate", "value", "bound", "passed", "why"),
        tuple(
            row((gate.name, number(gate.value), gate.bound, _SAID[gate.passed], gate.message))
            for gate in ordered
        ),
    )
    found = [Details(f"Gates of {name}", (table,))]
    cost = evaluation.training.cost
    if cost:
        from mlcicd_assets.ml.training.cost import described

        rows = tuple(row((what, value)) for what, value in described(cost, lane.model.rates).items())
        found.append(Details(f"Cost of {name}", (Table(("what", "value"), rows),)))
    return found
