"""`mlcicd_assets.Dataset`: a partitioned stream of records with a contract."""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from mlcicd_assets.assets.features import features
from mlcicd_assets.assets.raw_data import raw_data
from mlcicd_assets.assets.validated_data import validated_data
from mlcicd_assets.automation.dynamic_partitions import registering_sensor
from mlcicd_assets.checks.data import data_checks
from mlcicd_assets.checks.leakage import label_not_leaked
from mlcicd_assets.components.scaffolding import DatasetScaffolder
from mlcicd_assets.ml.catalogue import DataLane, check_references
from mlcicd_assets.ml.declarations import DatasetDeclaration


@dg.scaffold_with(DatasetScaffolder)
class Dataset(dg.Component):
    """Records that land by partition, kept when their contract holds: raw_data, validated_data, features."""

    def __init__(self, lane: DataLane):
        self.lane = lane

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of `attributes:`, closed."""
        return DatasetDeclaration

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of a validated `attributes:`."""
        return cls(DataLane(DatasetDeclaration.model_validate(attributes), folder_of(context)))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002  Dagster's signature
        """One asset per stage; features only where they are declared."""
        return dataset_definitions(self.lane)


def dataset_definitions(lane: DataLane) -> dg.Definitions:
    """The assets of a dataset; raises DeclarationError where a reference leads nowhere."""
    declaration = lane.dataset
    check_references(
        lane.folder,
        [declaration.contract, declaration.features, declaration.upstream, declaration.source.python],
    )
    assets = [raw_data(lane), validated_data(lane)]
    if declaration.features:
        assets.append(features(lane))
    checks = data_checks(lane)
    if declaration.label:
        checks.append(label_not_leaked(lane))
    dynamic = declaration.partitions == "dynamic" and declaration.source.files
    sensors = [registering_sensor(lane)] if dynamic else []
    return dg.Definitions(assets=assets, asset_checks=checks, sensors=sensors)


def folder_of(context: dg.ComponentLoadContext) -> Path:
    """The folder that a declaration's references start from."""
    path = Path(context.path)
    return path if path.is_dir() else path.parent
