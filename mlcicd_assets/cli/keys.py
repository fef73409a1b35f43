"""`mlcicd keys`: the keys of people who approve."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from resources.approver_keys import ApproverFolder
    from resources.protocols import Approver

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The keys of people who approve.")

Name = Annotated[str, typer.Argument(help="Whose: an e-mail address or a name.")]
Teams = Annotated[list[str] | None, typer.Option("--team", help="A team of theirs: team:risk. Repeatable.")]


@app.command()
def new(context: typer.Context, name: Name, team: Teams = None, as_json: Json = False) -> None:
    """Make a key pair for a person and trust it here."""
    session = session_of(context)
    folder = _folder(session)
    made = folder.new(name, team or [])
    _write_down(session, made)
    if as_json:
        print_json(_plain(made))
        return
    typer.echo(f"{made.name} approves with a key of their own now, kept in {folder.folder}")
    typer.echo(
        "move the private half (.pem) to its owner; there MLCICD_APPROVER_KEY names it. "
        "Whoever can read it here can sign as that person"
    )


@app.command()
def trust(
    context: typer.Context,
    name: Name,
    public_key: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Their public key, PEM.")],
    team: Teams = None,
) -> None:
    """Trust a public key that a person made elsewhere."""
    session = session_of(context)
    made = _folder(session).trust(name, public_key.read_bytes(), team or [])
    _write_down(session, made)
    typer.echo(f"{made.name} may approve, where a declaration names them")


@app.command("list")
def listed(context: typer.Context, as_json: Json = False) -> None:
    """Show who approves with a key of their own."""
    people = [_plain(one) for one in session_of(context).keys.approvers()]
    if as_json:
        print_json(people)
        return
    if not people:
        typer.echo("nobody has a key of their own: approvals are signed by the pipeline's key")
        return
    rows = [(one["name"], ", ".join(one["teams"]), one["key"]) for one in people]
    console().print(table("", ["approver", "teams", "key"], rows))


def _folder(session: Session) -> "ApproverFolder":
    from resources.approver_keys import ApproverFolder

    return ApproverFolder(session.home.keys / "approvers")


def _write_down(session: Session, made: "Approver") -> None:
    plain = _plain(made)
    session.ledger.append(
        "approver_trusted", "", actor=made.name, reason=f"key {plain['key'][:16]}", details=dict(plain)
    )


def _plain(one: "Approver") -> dict[str, Any]:
    from mlcicd_assets.release.envelope import public_key

    return {"name": one.name, "teams": list(one.teams), "key": str(public_key(one.key).keyid)}
