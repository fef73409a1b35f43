"""`mlcicd approve`, `reject` and `override`: a person's signed decision about a release."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.assets.decisions import Desk, Signed

Model = Annotated[str, typer.Argument(help="A declared model.")]
Version = Annotated[int, typer.Argument(min=1, help="The registered version.")]
By = Annotated[str, typer.Option("--by", help="Who decides: a name or an e-mail address.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Expires = Annotated[
    str,
    typer.Option("--expires", help="How long it may be used for a release: 12h. At most as declared."),
]


def approve(
    context: typer.Context,
    model: Model,
    version: Version,
    by: By,
    reason: Reason,
    expires: Expires = "",
    as_json: Json = False,
) -> None:
    """Approve a version for production, signed."""
    from mlcicd_assets.assets.decisions import decide

    session = session_of(context)
    with _plainly():
        signed = decide(desk_of(session, model), version, "approve", by=by, reason=reason, expires=expires)
    then = (
        f"the sensor 'approvals' releases it; without it: "
        f"dagster asset materialize -f definitions.py --select 'key:\"{model}/deployment\"'"
    )
    _tell(signed, as_json, f"version {version} approved", then)


def reject(
    context: typer.Context,
    model: Model,
    version: Version,
    by: By,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Reject a version: production refuses it."""
    from mlcicd_assets.assets.decisions import decide

    session = session_of(context)
    with _plainly():
        signed = decide(desk_of(session, model), version, "reject", by=by, reason=reason)
    _tell(signed, as_json, f"version {version} rejected", _consequence(session, model, version))


def override(
    context: typer.Context,
    model: Model,
    by: By,
    reason: Reason,
    version: Annotated[
        int | None, typer.Argument(min=1, help="The registered version; the last trained package without.")
    ] = None,
    gates: Annotated[str, typer.Option("--gates", help="The gates to waive, by name: roc_auc,brier.")] = "",
    approval: Annotated[
        bool, typer.Option("--approval", help="Waive the person's approval as well.")
    ] = False,
    expires: Annotated[str, typer.Option("--expires", help="At most 24h.")] = "4h",
    as_json: Json = False,
) -> None:
    """Emergency: let one exact artifact past the gates named, or past approval. Loud, signed, short."""
    from mlcicd_assets.assets.decisions import override as waive

    session = session_of(context)
    named = [name.strip() for name in gates.split(",") if name.strip()]
    with _plainly():
        signed = waive(
            desk_of(session, model),
            version,
            named,
            approval=approval,
            by=by,
            reason=reason,
            expires=expires,
        )
    waived = getattr(signed.decision, "waived", "")
    typer.echo(
        f"OVERRIDE: {model} {signed.decision.digest[:12]}: {waived} waived by {by}: {reason}", err=True
    )
    then = "it holds for this digest alone; the sensor 'approvals' goes on with the release"
    _tell(signed, as_json, f"{waived} waived", then)


def desk_of(session: Session, model: str) -> "Desk":
    """Where this session decides about a model."""
    from mlcicd_assets.assets.decisions import Desk

    return Desk(
        lane=session.model(model),
        registry=session.registry,
        tracking=session.tracking,
        ledger=session.ledger,
        keys=session.keys,
        now=session.now(),
    )


@contextmanager
def _plainly() -> Iterator[None]:
    """A decision that was given wrong is bad usage, not a refusal."""
    from mlcicd_assets.assets.decisions import BadDecision

    try:
        yield
    except BadDecision as error:
        raise typer.BadParameter(f"--{error}") from error


def _consequence(session: Session, model: str, version: int) -> str:
    from mlcicd_assets.cli.proofs import champion_version

    if champion_version(session.ledger, model) == version:
        return "it is the champion and goes on serving: release another version to replace it"
    return "production refuses it from now on"


def _tell(signed: "Signed", as_json: bool, what: str, then: str) -> None:
    decision = signed.decision
    if as_json:
        print_json({**decision.model_dump(mode="json"), "signed_by": signed.signed_by})
        return
    typer.echo(f"{decision.model} {what} by {decision.by} ({decision.digest[:12]})")
    if signed.signer is None:
        typer.echo("signed by the pipeline's key: it says who decided, but proves it not (mlcicd keys new)")
    else:
        typer.echo(f"signed by {signed.signed_by}")
    typer.echo(then)
