"""The code location: every declaration below `mlcicd_assets/defs`, with this environment's resources."""

from pathlib import Path

import dagster as dg

from mlcicd_assets.automation import automation
from resources import build_resources
from resources.redaction_guard import guard_dagster, guard_process


@dg.definitions
def defs() -> dg.Definitions:
    """Declarations, automation and resources; one process per run, since steps share what they load."""
    guard_process()
    guard_dagster()
    return dg.Definitions.merge(
        declared(Path(__file__).parent),
        automation(),
        dg.Definitions(resources=build_resources(), executor=dg.in_process_executor),
    )


def declared(project: Path) -> dg.Definitions:
    """The components of the project; a declaration that cannot be used ends in one plain line."""
    try:
        return dg.load_from_defs_folder(path_within_project=project)
    except Exception:
        from mlcicd_assets.ml.catalogue import DeclarationError, load_all

        try:
            load_all()
        except DeclarationError as error:
            raise dg.DagsterInvalidDefinitionError(str(error)) from None
        raise
