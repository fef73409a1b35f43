"""`mlcicd audit`: the story of a model or a version, the proof of the ledger's chain, and its export."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.release.audit import Event, Story
    from mlcicd_assets.release.verdict import Verdict
    from resources.protocols import Entry, ModelVersion

Agreement = tuple[str, bool, str]  # what was compared, whether it agrees, what was found


def audit(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A declared model.")],
    version: Annotated[int | None, typer.Option("--version", min=1, help="One version's story.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove the chain, and that everything follows it.")
    ] = False,
    export: Annotated[
        Literal["jsonl", "csv"] | None, typer.Option("--export", help="The ledger's lines, for other tools.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file for --export; else printed.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The mirror's own moves as well.")] = False,
    as_json: Json = False,
) -> None:
    """Tell who did what with a model, when and why."""
    session = session_of(context)
    session.model(model)
    if out and not export:
        raise typer.BadParameter("--out needs --export jsonl or --export csv")
    if export:
        _export(exported(session.ledger.entries(model), export, version), out)
    elif verify:
        _verify(session, model, as_json)
    elif version is None:
        _show_model(session, model, everything, as_json)
    else:
        _show_version(session, model, version, everything, as_json)


# -- the proof --------------------------------------------------------------------------------------------


def _verify(session: Session, model: str, as_json: bool) -> None:
    found = list(agreements(session, model))
    passed = all(agrees for _, agrees, _ in found)
    if as_json:
        steps = [{"name": name, "passed": agrees, "detail": detail} for name, agrees, detail in found]
        print_json({"model": model, "passed": passed, "steps": steps})
    else:
        for name, agrees, detail in found:
            console().print(f"{'ok     ' if agrees else 'refused'}  {name}: {detail}", markup=False)
    if not passed:
        raise typer.Exit(1)


def agreements(session: Session, model: str) -> Iterator[Agreement]:
    """The chain, the champion's pointer, the registry's aliases, and what really serves."""
    from resources.protocols import ResourceError

    try:
        lines = session.ledger.verify()
        yield "chain", True, f"{lines} lines, none changed, and every pointer stands where its line moved it"
    except ResourceError as broken:
        yield "chain", False, str(broken)
        return  # nothing below can be believed
    yield from _aliases(session, model)
    yield _traffic(session, model)


def _aliases(session: Session, model: str) -> Iterator[Agreement]:
    from mlcicd_assets.assets.lifecycle import moved, standing_of

    found = moved(session.ledger, session.registry, model)
    if found:
        for one in found:
            yield "aliases", False, f"{one}; repair with: mlcicd repair {model}"
        return
    stands = standing_of(session.ledger, model)
    named = f"champion is version {stands.champion}" if stands.champion else "there is no champion yet"
    yield "aliases", True, f"MLflow's aliases stand where the ledger says; {named}"


def _traffic(session: Session, model: str) -> Agreement:
    from mlcicd_assets.assets.lifecycle import standing_of

    stands = standing_of(session.ledger, model)
    status = session.serving.status()
    routes = dict(session.serving.routes("production", model)) if status.running else {}
    if not status.running:
        return "traffic", True, "serving is stopped: nothing to compare"
    allowed = {stands.champion, stands.challenger, *_in_rollout(session, model)}
    foreign = [version for version, share in routes.items() if share and version not in allowed]
    digests = {one.version: one.digest for one in session.registry.versions(model)}
    wrong = [
        server
        for server in status.servers
        if server.model == model
        and routes.get(server.version)
        and server.environment == "production"
        and server.digest != digests.get(server.version)
    ]
    shares = ", ".join(f"version {version} {share} %" for version, share in routes.items()) or "nothing"
    if foreign:
        return "traffic", False, f"{shares}; the ledger knows of no release of version {foreign[0]}"
    if wrong:
        return "traffic", False, f"the server of version {wrong[0].version} runs {wrong[0].digest[:12]}"
    if stands.champion and not routes.get(stands.champion) and not _in_rollout(session, model):
        return (
            "traffic",
            False,
            f"{shares}, not the champion, version {stands.champion}: mlcicd serve start",
        )
    return "traffic", True, f"{shares}, as the ledger says"


def _in_rollout(session: Session, model: str) -> set[int]:
    """The versions that a rollout under way may give traffic to."""
    from mlcicd_assets.release.rollout_history import parse, rollout_pointer

    state = parse(session.ledger.pointer(rollout_pointer(model)))
    if state is None or state.ended:
        return set()
    return {target.version for target in (state.target, state.stable) if target}


# -- the export -------------------------------------------------------------------------------------------


def exported(entries: Sequence["Entry"], kind: Literal["jsonl", "csv"], version: int | None = None) -> str:
    """Every line with all that it says, the hashes among it: JSON lines, or CSV with details as JSON."""
    rows = [asdict(entry) for entry in entries if version is None or entry.version == version]
    if kind == "jsonl":
        return "".join(json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
    from resources.protocols import Entry

    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(Entry.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {**row, "details": json.dumps(row["details"], sort_keys=True, ensure_ascii=False)}
        writer.writerow({name: _cell(value) for name, value in cells.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    # A spreadsheet runs what begins like a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _export(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"--out: {out} cannot be written ({error.strerror})") from error
    typer.echo(f"{text.count(chr(10))} lines in {out}")


# -- the story --------------------------------------------------------------------------------------------


def _show_model(session: Session, model: str, everything: bool, as_json: bool) -> None:
    from mlcicd_assets.assets.lifecycle import standing_of
    from mlcicd_assets.release.audit import events

    lines = events(session.ledger.entries(model), model, minor=everything)
    stands = standing_of(session.ledger, model)
    if as_json:
        print_json({"model": model, "standing": asdict(stands), "events": [asdict(one) for one in lines]})
        return
    out = console()
    if not lines:
        out.print(f"{model}: the ledger has nothing yet; materialize {model}/trained_model", markup=False)
        return
    out.print(table(model, ["when", "what", "who", "why"], [_row(one) for one in lines]))
    out.print(f"champion: {_named(stands.champion)}, previous: {_named(stands.previous)}", markup=False)
    out.print(f"one version's story: mlcicd audit {model} --version N", markup=False)


def _show_version(session: Session, model: str, version: int, everything: bool, as_json: bool) -> None:
    from mlcicd_assets.release.audit import story

    lines = session.ledger.entries(model)
    kept = session.registry.get(model, version)
    if kept is None and not any(line.version == version for line in lines):
        raise typer.BadParameter(f"neither ledger nor registry know version {version} of {model}")
    found = story(lines, model, version, _verdict(session, kept), minor=everything)
    if as_json:
        print_json(asdict(found))
        return
    _tell(found)


def _verdict(session: Session, version: "ModelVersion | None") -> "Verdict | None":
    from mlcicd_assets.cli.proofs import read_verdict
    from mlcicd_assets.release.envelope import Refused
    from resources.protocols import ResourceError

    if version is None:
        return None
    try:
        return read_verdict(session, version.run_id)
    except (Refused, ResourceError) as error:
        # The story is told all the same; that it cannot be proven is part of it.
        typer.echo(f"its verdict cannot be read: {error}", err=True)
        return None


def _tell(found: "Story") -> None:
    out = console()
    digest = f" ({found.digest[:12]})" if found.digest else ""
    out.print(f"[bold]{found.model} version {found.version}[/]{digest}: {found.stage}")
    for line in found.made_of:
        out.print(f"  {line}", markup=False)
    out.print(table("", ["when", "what", "who", "why"], [_row(one) for one in found.events]))


def _row(event: "Event") -> list[object]:
    mark = "!! " if event.loud else ""
    return [event.at[:19].replace("T", " "), f"{mark}{event.text}", event.who, event.why]


def _named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"
