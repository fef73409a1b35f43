"""`mlcicd approve` and `mlcicd reject`: a person's signed decision about one version."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlcicd_assets.cli.output import Json, print_json
from mlcicd_assets.cli.session import Session, session_of

if TYPE_CHECKING:
    from mlcicd_assets.release.approval import Approval

Model = Annotated[str, typer.Argument(help="A declared model.")]
Version = Annotated[int, typer.Argument(min=1, help="The registered version.")]
By = Annotated[str, typer.Option("--by", help="Who decides: a name or an e-mail address.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Expires = Annotated[str, typer.Option("--expires", help="How long the decision may be used: 7d, 12h.")]

# A rejection stands until somebody approves.
_NEVER = "36500d"


def approve(
    context: typer.Context,
    model: Model,
    version: Version,
    by: By,
    reason: Reason,
    expires: Expires = "7d",
    as_json: Json = False,
) -> None:
    """Approve a version for production, signed."""
    approval = decide(session_of(context), model, version, "approve", by=by, reason=reason, expires=expires)
    _tell(
        approval, as_json, f"release it with: dagster asset materialize --select 'key:\"{model}/deployment\"'"
    )


def reject(
    context: typer.Context,
    model: Model,
    version: Version,
    by: By,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Reject a version: production refuses it."""
    session = session_of(context)
    approval = decide(session, model, version, "reject", by=by, reason=reason, expires=_NEVER)
    _tell(approval, as_json, _consequence(session, model, version))


def _consequence(session: Session, model: str, version: int) -> str:
    from mlcicd_assets.cli.proofs import champion_version

    if champion_version(session.ledger, model) == version:
        return "it is the champion and goes on serving: release another version to replace it"
    return "production refuses it from now on"


def decide(
    session: Session,
    model: str,
    number: int,
    decision: Literal["approve", "reject"],
    *,
    by: str,
    reason: str,
    expires: str,
) -> "Approval":
    """Sign a decision, keep it with the version's run, and write it to the ledger.

    Raises Refused where the version's own proof does not hold: nobody can approve what failed its gates.
    """
    from mlcicd_assets.cli.proofs import awaits_person, fetched, prove_package, prove_verdict
    from mlcicd_assets.release.approval import seal_approval
    from mlcicd_assets.release.run_files import APPROVAL
    from resources.protocols import ResourceError

    session.model(model)
    version = session.registry.get(model, number)
    if version is None:
        raise ResourceError(f"the registry has no version {number} of {model}; see 'mlcicd status {model}'")
    with fetched(session, version) as found:
        prove_package(found)
        verdict = prove_verdict(session, found)
    if not awaits_person(verdict):
        raise ResourceError(f"{model} version {number} is of {verdict.risk} risk: no person is asked")
    approval = _decision(session, model, number, version.digest, decision, by, reason, expires)
    with tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
        file = Path(scratch) / APPROVAL
        file.write_bytes(seal_approval(approval, session.keys.private_key()))
        session.tracking.store(version.run_id, file, "")
    session.ledger.append(
        "approved" if decision == "approve" else "rejected",
        model,
        actor=approval.by,
        reason=approval.reason,
        version=number,
        digest=version.digest,
        details={"expires": approval.expires},
    )
    return approval


def _decision(
    session: Session,
    model: str,
    number: int,
    digest: str,
    decision: Literal["approve", "reject"],
    by: str,
    reason: str,
    expires: str,
) -> "Approval":
    from pydantic import ValidationError

    from mlcicd_assets.ml.thresholds import parse_duration
    from mlcicd_assets.release.approval import Approval

    try:
        until = session.now() + parse_duration(expires)
    except ValueError as error:
        raise typer.BadParameter(f"--expires: {error}") from error
    try:
        return Approval(
            model=model,
            version=number,
            digest=digest,
            decision=decision,
            by=by.strip(),
            reason=reason.strip(),
            at=session.now().isoformat(timespec="seconds"),
            expires=until.isoformat(timespec="seconds"),
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise typer.BadParameter(f"--{problem['loc'][0]}: {problem['msg']}") from error


def _tell(approval: "Approval", as_json: bool, then: str) -> None:
    if as_json:
        print_json(approval.model_dump(mode="json"))
        return
    verb = "approved" if approval.decision == "approve" else "rejected"
    typer.echo(
        f"{approval.model} version {approval.version} ({approval.digest[:12]}) {verb} by {approval.by}"
    )
    typer.echo(then)
