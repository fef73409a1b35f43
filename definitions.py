"""The code location: every declaration below `mlcicd_assets/defs`, with this environment's resources."""

from pathlib import Path

import dagster as dg

from mlcicd_assets.automation import automation
from resources import build_resources


@dg.definitions
def defs() -> dg.Definitions:
    """Declarations, automation and resources; one process per run, since steps share what they load."""
    here = Path(__file__).parent
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=here),
        automation(),
        dg.Definitions(resources=build_resources(), executor=dg.in_process_executor),
    )
