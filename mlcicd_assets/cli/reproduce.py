"""`mlcicd reproduce`: trains a version again from its recorded commit and data, and says what differs."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import session_of
from mlcicd_assets.cli.targets import parse_target, version_of

if TYPE_CHECKING:
    from mlcicd_assets.assets.reproduction import Reproduced


def reproduce(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(metavar="MODEL[@champion|@VERSION]", help="The champion by default.")
    ],
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0, help="Largest difference of a score; default: as declared."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a version again and compare."""
    from mlcicd_assets.assets.reproduction import record_reproduction as record
    from mlcicd_assets.assets.reproduction import reproduce as again

    session = session_of(context)
    model, which = parse_target(target)
    lane = session.model(model)
    version = version_of(session, model, which)
    allowed = lane.model.reproducible.tolerance if tolerance is None else tolerance
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        found = again(
            version,
            session.tracking,
            session.git,
            {**session.environment, "MLCICD_HOME": str(session.home.path.resolve())},
            Path(scratch),
            tolerance=allowed,
        )
    record(session.ledger, found, "mlcicd reproduce")
    print_json(_plain(found)) if as_json else _show(found)
    if not found.passed:
        raise typer.Exit(1)


def retrain(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A declared model.")],
    record: Annotated[Path, typer.Option("--record", help="The record of the training to repeat.")],
    into: Annotated[Path, typer.Option("--into", help="A new folder for package, record and holdout.")],
) -> None:
    """Train again from a record, and register nothing."""
    from mlcicd_assets.assets.reproduction import retrain as again

    session = session_of(context)
    again(session.model(model), session.lake, record, into)


def _plain(found: "Reproduced") -> dict[str, Any]:
    return {
        "model": found.version.model,
        "version": found.version.version,
        "commit": found.commit,
        "passed": found.passed,
        "conclusion": found.repeated.conclusion,
        "differences": found.differences,
        "comparison": found.repeated.model_dump(mode="json"),
    }


def _show(found: "Reproduced") -> None:
    out = console()
    mark = "ok     " if found.passed else "refused"
    version = found.version
    out.print(
        f"{mark}  {version.model} version {version.version}: trained again from commit {found.commit[:12]} "
        f"on {found.repeated.trained_on} rows: {found.repeated.conclusion}",
        markup=False,
    )
    if found.repeated.files:
        out.print(f"files that differ: {', '.join(found.repeated.files)}", markup=False)
    if found.repeated.metrics:
        rows = [[name, before, after] for name, (before, after) in found.repeated.metrics.items()]
        out.print(table("Metrics that differ", ["metric", "recorded", "again"], rows))
    for line in found.differences:
        out.print(f"differs: {line}", markup=False)
    if not found.differences:
        out.print("code, data and environment are those of the recorded training")
