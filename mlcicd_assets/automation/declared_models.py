"""Finding the model that somebody named in the launchpad."""

import dagster as dg

from mlcicd_assets.ml.catalogue import Catalogue, ModelLane


def declared_model(catalogue: Catalogue, name: str) -> ModelLane:
    """The model of this name; raises Failure naming those that are declared."""
    lane = catalogue.models.get(name)
    if lane is None:
        declared = ", ".join(sorted(catalogue.models)) or "none"
        raise dg.Failure(f"there is no model {name!r}; declared are: {declared}", allow_retries=False)
    return lane
