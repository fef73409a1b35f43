"""`make demo`: real flights, from the files that land to a model that answers over HTTP."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlcicd_assets.cli.output import console, table
from mlcicd_assets.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from mlcicd_assets.automation.staleness import Status
    from mlcicd_assets.cli.materialize import Outcome, StepEvent
    from mlcicd_assets.serving.client import Answer

MODEL = "flight_delay"
DATASETS = ("planes", "weather", "flights")
UNTIL = "2013-06"
_SHOWN = ("carrier", "flight", "origin", "dest", "scheduled_departure")
_STATES = {"done": "done   ", "failed": "failed "}


def main() -> int:
    """Let the data land, materialize what is stale, and tell what came of it; returns the exit code."""
    from mlcicd_assets.cli.app import exit_code, plain

    try:
        return run(Session(), console())
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; 'make demo' goes on where this stopped\n")
        return 130
    except Exception as error:  # noqa: BLE001  the last place where anything can still be told
        sys.stderr.write(f"{plain(error)}\n")
        return exit_code(error)


def run(session: Session, out: "Console") -> int:
    """The demonstration; returns 0, or 1 where a gate or a check failed."""
    from mlcicd_assets.cli.init import prepare

    started = time.monotonic()
    prepare(session)
    for line in land(session):
        out.print(line, markup=False)
    stale = [status for status in concerned(session) if status.state == "stale"]
    if stale:
        outcome = materialize_stale(session, out, stale)
        if not outcome.succeeded:
            tell_failure(session, out, outcome)
            return 1
        summarize(session, out)
    else:
        out.print("Everything is fresh: nothing to run.")
    ensure_serving(session, out)
    show_prediction(session, out)
    _what_next(session, out, time.monotonic() - started)
    return 0


def land(session: Session) -> Iterator[str]:
    """Play the upstream systems: what has not landed yet lands now."""
    from mlcicd_assets.cli.land import land_files, partitions_between
    from resources.protocols import ResourceError

    for name in DATASETS:
        dataset = session.dataset(name).dataset
        if dataset.partitions == "none":
            try:
                session.landing.find(dataset.source.files, None)
            except ResourceError:
                yield from (f"landed {file}" for file in land_files(session, name, []))
            continue
        there = set(session.landing.partitions(dataset.source.files))
        missing = [key for key in partitions_between(dataset, None, UNTIL) if key not in there]
        if missing:
            yield from (f"landed {file}" for file in land_files(session, name, missing))


def concerned(session: Session) -> "list[Status]":
    """The staleness of the demonstration's data and model."""
    from mlcicd_assets.cli.stale import assess_all

    return [status for status in assess_all(session) if status.asset.split("/")[0] in (*DATASETS, MODEL)]


def materialize_stale(session: Session, out: "Console", stale: "list[Status]") -> "Outcome":
    """Run Dagster's own command for what is stale, and show each step."""
    from mlcicd_assets.automation.staleness import partition_range
    from mlcicd_assets.cli.materialize import command, materialize

    chosen, partitions = _selection(session, stale), partition_range(stale)
    out.print(f"$ {shlex.join(command(chosen, partitions))}", markup=False, style="dim")
    with progress(out) as watch:
        return materialize(session, chosen, partitions, watch)


def _selection(session: Session, stale: "list[Status]") -> str:
    from mlcicd_assets.automation.staleness import MODEL_STAGES, selection

    assets = {status.asset for status in stale}
    if {status.asset for status in concerned(session)} <= assets:
        return ",".join(f"group:{name}" for name in (*DATASETS, MODEL))
    # What is told of the traffic belongs to the release that changes it.
    report = f' or key:"{MODEL}/monitoring_report"' if f"{MODEL}/{MODEL_STAGES[-1]}" in assets else ""
    return selection(stale) + report


@contextmanager
def progress(out: "Console") -> "Iterator[Callable[[StepEvent], None]]":
    """Shows what runs as it runs: a spinner on a terminal, plain lines elsewhere."""
    with out.status("starting Dagster …") as spinner:

        def watch(event: "StepEvent") -> None:
            if event.state == "running":
                spinner.update(f"{event.step} …")
            else:
                told = f"  {event.text}" if event.state == "done" else ""
                out.print(f"{_STATES[event.state]} {event.step}{told}", markup=False)

        yield watch


def tell_failure(session: Session, out: "Console", outcome: "Outcome") -> None:
    """Say which check or step failed, and why; where the whole log is."""
    from mlcicd_assets.cli.status import failed_gates

    for failure in outcome.failures:
        out.print(f"\n{failure.step} failed:", markup=False, style="bold red")
        out.print(failure.text, markup=False)
    if any(failure.step == f"{MODEL}/gates" for failure in outcome.failures):
        for line in failed_gates(session, MODEL):
            out.print(f"  {line}", markup=False)
        out.print("The champion, if there is one, goes on serving.")
    if not outcome.failures:
        out.print("Dagster's command failed before any step; its last lines:", style="bold red")
        out.print("\n".join(outcome.log.read_text().splitlines()[-15:]), markup=False)
    out.print(f"\nThe whole log: {outcome.log}", markup=False)


def summarize(session: Session, out: "Console") -> None:
    """What was made: data versions, gates with value against threshold, version, digest and signature."""
    from mlcicd_assets.cli.proofs import champion_version
    from mlcicd_assets.cli.status import data_table, dataset_report

    out.print()
    out.print(data_table([dataset_report(session, session.dataset(name)) for name in DATASETS]))
    champion = champion_version(session.ledger, MODEL)
    if champion is not None:
        _show_release(session, out, champion)


def _show_release(session: Session, out: "Console", champion: int) -> None:
    from mlcicd_assets.cli.proofs import fetched, prove_package, prove_verdict, signer, todays_gates
    from resources.protocols import ResourceError

    version = session.registry.get(MODEL, champion)
    if version is None:
        raise ResourceError(f"{MODEL}: the registry has no version {champion}, which is champion")
    with fetched(session, version) as found:
        prove_package(found)
        verdict = prove_verdict(session, found, gates=todays_gates(session.model(MODEL)))
        key = signer(found.verdict)
    rows = [
        (gate.name, "–" if gate.value is None else f"{gate.value:.4f}", gate.bound, gate.message)
        for gate in verdict.gates
    ]
    out.print()
    out.print(table("Gates, all passed", ["gate", "value", "bound", ""], rows))
    out.print()
    for name, value in (
        ("version", f"{MODEL} version {version.version}"),
        ("digest", version.digest),
        ("signature", f"verified, Ed25519 key {key[:16]}"),
        ("commit", f"{verdict.commit[:12]}{' with uncommitted changes' if verdict.dirty else ''}"),
        ("holdout", f"{verdict.holdout.start} to {verdict.holdout.end}, {verdict.holdout.rows} rows"),
    ):
        out.print(f"{name:<10} {value}", markup=False)


def ensure_serving(session: Session, out: "Console") -> None:
    """Bring the proxy and the champion's server up where they are not."""
    from mlcicd_assets.cli.serve import repair

    if not session.serving.status().running:
        session.serving.start()
        out.print("serving was stopped and is up again")
    for line in repair(session, MODEL):
        out.print(line, markup=False)


def show_prediction(session: Session, out: "Console") -> "Answer":
    """Ask the served model for one real record, over HTTP."""
    from mlcicd_assets.cli.predict import address_of, ask, example_record

    record = example_record(session, session.model(MODEL))
    answer = ask(session, MODEL, record, "production")
    address = address_of(session, "production")
    out.print(f"{'address':<10} {address}/v2/models/{MODEL}", markup=False)
    shown = ", ".join(f"{name} {record[name][0]}" for name in _SHOWN if name in record.columns)
    score, label = answer.probabilities[0][-1], answer.labels[0]
    told = "late" if label else "on time"
    out.print(
        f"{'prediction':<10} {shown}: {score:.3f}, {told}; answered by version {answer.version}", markup=False
    )
    return answer


def _what_next(session: Session, out: "Console", seconds: float) -> None:
    out.print()
    pages = sorted(session.home.reports.rglob("*.html"), key=lambda page: page.stat().st_mtime)
    if pages:
        out.print(f"report     {pages[-1]}", markup=False)
    out.print("next       make dev          Dagster's pages: every asset, check and run", markup=False)
    out.print(f"           .venv/bin/mlcicd verify {MODEL}", markup=False)
    out.print(f"           .venv/bin/mlcicd predict {MODEL} --example", markup=False)
    out.print(f"({seconds:.0f} s)", style="dim")


if __name__ == "__main__":
    sys.exit(main())
