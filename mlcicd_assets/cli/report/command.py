"""The command: gathers the parts, writes them in one of three forms, and posts them."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.automation.staleness import Status
    from mlcicd_assets.reports.document import Document

MARKER = "<!-- mlcicd-report -->"


class Form(StrEnum):
    """How a report is written."""

    markdown = "markdown"
    html = "html"
    json = "json"


def report(
    context: typer.Context,
    base: Annotated[
        str,
        typer.Option(
            "--base", help="What the change is compared with; default: the target branch of CI, or main."
        ),
    ] = "",
    form: Annotated[Form, typer.Option("--format", help="How it is written.")] = Form.markdown,
    out: Annotated[Path | None, typer.Option("--out", help="A file, instead of standard output.")] = None,
    results: Annotated[
        Path | None, typer.Option("--results", help="What 'mlcicd ci --json' printed, to be told as well.")
    ] = None,
    post: Annotated[
        bool, typer.Option("--post", help="Write it as our comment on the pull or merge request.")
    ] = False,
    pull_request: Annotated[
        int | None, typer.Option("--pull-request", min=1, help="Its number; default: that of CI's event.")
    ] = None,
) -> None:
    """Tell what a change means: lanes, plan, checks, metrics against the champion, gates, cost."""
    from mlcicd_assets.reports.document import as_json, markdown, page

    session = session_of(context)
    document = _document(session, base or target_branch(session), results)
    if post:
        _post(session, markdown(document), pull_request)
    if form == Form.json and out is None:
        print_json(as_json(document))
        return
    made = {
        Form.markdown: lambda: markdown(document),
        Form.html: lambda: page(document),
        Form.json: lambda: json.dumps(as_json(document), indent=2, ensure_ascii=False) + "\n",
    }[form]()
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(made, encoding="utf-8")
        typer.echo(f"written to {out}", err=True)
    elif not post:
        typer.echo(made, nl=False)


def _document(session: Session, base: str, results: Path | None) -> "Document":
    from mlcicd_assets.ml.catalogue import DeclarationError
    from mlcicd_assets.reports.document import Document, Text

    try:
        return change_report(session, base, results)
    except DeclarationError as error:
        # Who reads the report must learn of it, too.
        told = Text(f"❌ The declarations cannot be used, so nothing else can be told: {error}")
        return Document(f"Compared with {base}", MARKER, (told,), _tried(results))


def target_branch(session: Session) -> str:
    """What CI says that the change goes into; main outside of it."""
    for name in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"):
        if session.environment.get(name):
            return f"origin/{session.environment[name]}"
    return "main"


def change_report(session: Session, base: str, results: Path | None = None) -> "Document":
    """Everything, in the order in which it matters; raises ResourceError, DeclarationError."""
    from mlcicd_assets.cli.assessment import assess_all, blueprint_of
    from mlcicd_assets.cli.report.code import code_section
    from mlcicd_assets.cli.report.models import models_section
    from mlcicd_assets.cli.report.plan import declared_changes, lanes_section, plan_section
    from mlcicd_assets.reports.document import Document

    commit = session.git.fork_point(base)
    blueprint = blueprint_of(session)
    statuses = assess_all(session, blueprint)
    changed, unknown = declared_changes(session, commit)
    code, checks = code_section(session, session.git.changed(base))
    models, failed = models_section(session)
    tried = _tried(results)
    revision = session.git.revision()
    failed += [one.told for one in checks if one.state == "failed"]
    head = revision.commit[:12] + (" with uncommitted changes" if revision.dirty else "")
    return Document(
        f"What {head} means, compared with {commit[:12]} ({base})",
        MARKER,
        _summary(statuses, failed),
        (
            lanes_section(blueprint, changed, unknown, statuses),
            *tried,
            plan_section(blueprint, statuses),
            code,
            models,
        ),
    )


def _summary(statuses: "list[Status]", failed: list[str]) -> Any:
    from mlcicd_assets.reports.document import Lines, Text

    if failed:
        return Text(f"❌ {len(failed)} in the way:"), Lines(tuple(failed[:10]))
    due = sum(one.state == "stale" for one in statuses)
    told = f"{due} assets and partitions are to be made" if due else "everything is fresh"
    return (Text(f"✅ Nothing that was checked stands in the way; {told}."),)


def _tried(results: Path | None) -> Any:
    if results is None:
        return ()
    from mlcicd_assets.cli.ci.told import results_section

    try:
        found = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{results} cannot be read: {error}") from error
    return (results_section(found),)


def _post(session: Session, body: str, pull_request: int | None) -> None:
    from resources.review_comments import forge_of, post

    done = post(forge_of(session.environment, pull_request), body, MARKER)
    typer.echo(f"{'updated' if done.updated else 'posted'}: {done.address}", err=True)
