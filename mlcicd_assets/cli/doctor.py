"""`mlcicd doctor`: what is missing on this machine, in plain words, with the remedy."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from mlcicd_assets.cli.output import Json, console, print_json
from mlcicd_assets.cli.session import session_of

if TYPE_CHECKING:
    from mlcicd_assets.cli.machine import Finding

_MARKS = {"ok": "ok     ", "note": "note   ", "missing": "missing"}


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Look for what is missing on this machine."""
    from mlcicd_assets.cli.machine import examine

    findings = examine(session_of(context))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _show(findings)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list["Finding"]) -> None:
    out = console()
    for finding in findings:
        out.print(f"{_MARKS[finding.state]}  {finding.name}: {finding.found}", markup=False)
        if finding.remedy:
            out.print(f"         → {finding.remedy}", markup=False)
    missing = sum(finding.state == "missing" for finding in findings)
    out.print(f"{missing} missing" if missing else "everything that is needed is here")
