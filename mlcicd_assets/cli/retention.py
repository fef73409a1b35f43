"""`mlcicd retention`, `pin` and `unpin`: what is deleted by rule, and what never is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlcicd_assets.cli.output import Json, console, print_json, table
from mlcicd_assets.cli.session import Session, session_of
from mlcicd_assets.cli.signed import By, Reason

if TYPE_CHECKING:
    from mlcicd_assets.assets.retention import Store, Vacuum
    from mlcicd_assets.release.retention import Item, Plan

Model = Annotated[str, typer.Argument(help="A declared model.")]
Version = Annotated[int, typer.Argument(min=1, help="The registered version.")]

ACTOR = "mlcicd retention"


def retention(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="One model; all, and the tables, by default.")] = None,
    apply: Annotated[bool, typer.Option("--apply/--dry-run", help="Delete; else only show.")] = False,
    plan: Annotated[
        str, typer.Option("--plan", help="With --apply: the plan that was looked at; refused if it changed.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show what the rules let go, and why the rest stays; --apply deletes it."""
    from mlcicd_assets.assets.retention import plan_model, plan_tables, plans_digest
    from mlcicd_assets.release.envelope import Refused

    session = session_of(context)
    store = store_of(session)
    names = [session.model(model).model.name] if model else list(session.catalogue.models)
    plans = [plan_model(store, session.catalogue.models[name]) for name in names]
    digest = plans_digest(plans)
    if plan and not apply:
        raise typer.BadParameter("--plan goes with --apply")
    if plan and plan != digest:
        raise Refused(f"the plan is {digest} now, not {plan}: look at it again with 'mlcicd retention'")
    if apply:
        _apply(session, store, plans, whole=model is None, as_json=as_json)
        return
    tables = plan_tables(store, session.catalogue) if model is None else []
    if as_json:
        print_json({"plan": digest, "models": [_plain(one) for one in plans], "tables": _tables(tables)})
        return
    _show(plans, tables)
    typer.echo(f"nothing was deleted; exactly this: mlcicd retention --apply --plan {digest}")


def pin(context: typer.Context, model: Model, version: Version, by: By, reason: Reason) -> None:
    """Keep a version, whatever its age."""
    _pin(session_of(context), model, version, by, reason, pinned=True)


def unpin(context: typer.Context, model: Model, version: Version, by: By, reason: Reason) -> None:
    """Let the rules decide about a version again."""
    _pin(session_of(context), model, version, by, reason, pinned=False)


def _pin(session: Session, model: str, version: int, by: str, reason: str, *, pinned: bool) -> None:
    from mlcicd_assets.assets.retention import pin as set_pin

    session.model(model)
    changed = set_pin(store_of(session), model, version, by=by, reason=reason, pinned=pinned)
    state = "pinned" if pinned else "not pinned"
    typer.echo(f"{model} version {version} is {state}{'' if changed else ' already'}")


def store_of(session: Session) -> "Store":
    """What retention looks at in this session."""
    from mlcicd_assets.assets.retention import Store

    return Store(
        session.lake,
        session.tracking,
        session.registry,
        session.ledger,
        session.reports,
        session.serving,
        session.now,
    )


def _apply(session: Session, store: "Store", plans: list["Plan"], *, whole: bool, as_json: bool) -> None:
    from mlcicd_assets.assets.retention import apply_model, apply_tables

    deleted = {}
    for one in plans:
        lane = session.catalogue.models[one.model]
        deleted[one.model] = apply_model(store, lane, one, ACTOR)
    tables = apply_tables(store, session.catalogue, ACTOR) if whole else []
    if as_json:
        items = {model: [_item(item) for item in found] for model, found in deleted.items()}
        print_json({"deleted": items, "tables": _tables(tables)})
        return
    for model, found in deleted.items():
        for item in found:
            typer.echo(f"{model}: {item.kind} {item.name} deleted ({item.reason})")
    for vacuumed in tables:
        typer.echo(f"{vacuumed.table}: {vacuumed.files} files deleted")
    if not any(deleted.values()) and not tables:
        typer.echo("nothing to delete")


def _show(plans: list["Plan"], tables: list["Vacuum"]) -> None:
    out = console()
    for one in plans:
        rows = [("goes", f"{item.kind} {item.name}", item.reason) for item in one.delete]
        rows += [("stays", f"{item.kind} {item.name}", item.reason) for item in one.keep]
        if rows:
            out.print(table(one.model, ["", "what", "why"], rows))
        else:
            out.print(f"{one.model}: nothing is kept yet", markup=False)
    shown = [(one.table, one.files, ", ".join(map(str, one.kept)) or "none") for one in tables if one.files]
    if shown:
        out.print(table("Tables", ["table", "files to delete", "versions kept for models"], shown))


def _plain(one: "Plan") -> dict[str, Any]:
    return {
        "model": one.model,
        "delete": [_item(item) for item in one.delete],
        "keep": [_item(item) for item in one.keep],
    }


def _item(item: "Item") -> dict[str, Any]:
    return {"kind": item.kind, "name": item.name, "reason": item.reason}


def _tables(tables: list["Vacuum"]) -> list[dict[str, Any]]:
    return [{"table": one.table, "files": one.files, "kept_versions": list(one.kept)} for one in tables]
