"""Asking what is stale: from this environment's records, files and ledger, with few and light imports."""

from typing import TYPE_CHECKING

from mlcicd_assets.automation.blueprint import Blueprint, load_blueprint

if TYPE_CHECKING:
    from mlcicd_assets.automation.staleness import Status
    from mlcicd_assets.cli.session import Session


def blueprint_of(session: "Session") -> Blueprint:
    """The declared graph and code as they stand; raises DeclarationError or FingerprintError."""
    if session.given:
        return Blueprint.of(session.catalogue)
    return load_blueprint(session.home.cache / "blueprint.json")


def assess_all(session: "Session", blueprint: Blueprint | None = None) -> "list[Status]":
    """Whether each asset (partition) is fresh; raises ResourceError."""
    from mlcicd_assets.automation.landed import landed_files
    from mlcicd_assets.automation.staleness import assess

    known = blueprint or blueprint_of(session)
    observed = session.observed
    now = session.now().replace(tzinfo=None)
    landed = landed_files(known, observed.landing, now, observed.warehouse)
    files = observed.files() if known.code else None
    observed.save()
    return assess(known, observed.records.all(), landed, observed.champions(known.models), files)
