"""Naming a version on the command line: `flight_delay`, `flight_delay@3`, `flight_delay@champion`."""

import re
from typing import TYPE_CHECKING

import typer

from mlcicd_assets.cli.session import Session

if TYPE_CHECKING:
    from resources.protocols import ModelVersion

_TARGET = re.compile(r"^([a-z][a-z0-9_]*)(?:@([\w-]+))?$")


def parse_target(target: str) -> tuple[str, str]:
    """The model, and a version number or an alias; raises typer.BadParameter."""
    found = _TARGET.match(target)
    if found is None:
        raise typer.BadParameter(f"a target reads like flight_delay, flight_delay@3, not {target!r}")
    return found[1], found[2] or "champion"


def version_of(session: Session, model: str, which: str) -> "ModelVersion":
    """The version that a target names; raises Refused where there is none."""
    from mlcicd_assets.cli.proofs import champion_version
    from mlcicd_assets.release.envelope import Refused

    # The ledger says who is champion; the registry's alias only mirrors it.
    wanted: int | str | None = champion_version(session.ledger, model) if which == "champion" else which
    if wanted is None:
        raise Refused(f"{model} has no champion yet; materialize {model}/deployment")
    if isinstance(wanted, str) and wanted.isdigit():
        wanted = int(wanted)
    version = session.registry.get(model, wanted)
    if version is None:
        raise Refused(f"the registry has no version {wanted!r} of {model}")
    return version
