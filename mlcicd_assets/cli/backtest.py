"""`mlcicd backtest`: which gates would have failed when, so that a threshold is chosen from history."""

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import session_of

if TYPE_CHECKING:
    from mlcicd_assets.ml.backtest.replay import Backtest, RuleHistory


def backtest(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A declared dataset or model.")],
    first: Annotated[str | None, typer.Option("--from", help="The first partition to judge.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="The last partition to judge.")] = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Judge each Nth partition only.")] = 1,
    rule: Annotated[str, typer.Option("--rule", help="Show one rule only.")] = "",
    what_if: Annotated[
        str,
        typer.Option("--what-if", help="Another bound on the same history: 'roc_auc: >= 0.70'."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Replay the gates of a dataset or a model over all stored partitions. Reads the lake, writes nothing."""
    from mlcicd_assets.assets.backtests import Question
    from mlcicd_assets.assets.backtests import backtest as replayed
    from mlcicd_assets.ml.backtest.replay import Span

    session = session_of(context)
    asked = Question(Span(first, until, every), rule, what_if)
    found = replayed(session.catalogue, session.lake, name, asked, lambda line: typer.echo(line, err=True))
    if as_json:
        print_json(as_value(found))
    else:
        _show(found, what_if)


def _show(found: "Backtest", what_if: str) -> None:
    from mlcicd_assets.reports.backtest import COLUMNS, percent, row

    out = console()
    span = f"{found.partitions[0]} to {found.partitions[-1]}" if found.partitions[0] else "all"
    title = f"{found.name}: {len(found.partitions)} partitions, {span}"
    out.print(table(title, COLUMNS, [row(history) for history in found.rules]))
    if found.what_if:
        out.print()
        out.print(table(f"What if {what_if}", COLUMNS, [row(found.what_if)]))
    if found.suggested:
        lines = [
            [one.rule, one.bound, f"{one.failed} of {one.evaluated}", percent(one.alarm_rate)]
            for one in found.suggested
        ]
        out.print()
        out.print(table("What history suggests", ("rule", "bound", "failed", "alarm rate"), lines))


def as_value(found: "Backtest") -> dict[str, Any]:
    """A backtest as JSON values."""
    return {
        "name": found.name,
        "partitions": list(found.partitions),
        "rules": [_rule(history) for history in found.rules],
        "what_if": _rule(found.what_if) if found.what_if else None,
        "suggestions": [
            {
                "rule": one.rule,
                "bound": one.bound,
                "failed": one.failed,
                "evaluated": one.evaluated,
                "alarm_rate": one.alarm_rate,
            }
            for one in found.suggested
        ],
    }


def _rule(history: "RuleHistory") -> dict[str, Any]:
    failed = history.failed
    return {
        "rule": history.rule,
        "evaluated": history.evaluated,
        "cold_starts": history.cold_starts,
        "not_reached": history.not_reached,
        "excused": history.excused,
        "failed": list(failed),
        "alarm_rate": history.alarm_rate,
        "first_failure": failed[0] if failed else None,
        "last_failure": failed[-1] if failed else None,
        "findings": [
            {
                "partition": one.partition,
                "outcome": one.outcome,
                "value": one.value if one.value is not None and math.isfinite(one.value) else None,
                "threshold": one.threshold,
                "reason": one.reason,
            }
            for one in history.findings
        ],
    }
