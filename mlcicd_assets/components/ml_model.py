"""`mlcicd_assets.MlModel`: a model from training to production."""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from mlcicd_assets.assets.deployment import deployment
from mlcicd_assets.assets.evaluation_report import evaluation_report
from mlcicd_assets.assets.monitoring_report import monitoring_report
from mlcicd_assets.assets.registered_model import registered_model
from mlcicd_assets.assets.staging_deployment import staging_deployment
from mlcicd_assets.assets.trained_model import trained_model
from mlcicd_assets.automation.reproduction import reproduce_schedules
from mlcicd_assets.automation.requests.schedules import retrain_schedules
from mlcicd_assets.checks.freshness import champion_fresh
from mlcicd_assets.checks.leakage import holdout_unseen
from mlcicd_assets.checks.lifecycle import aliases_follow_ledger, released_without_override
from mlcicd_assets.checks.model import model_gates
from mlcicd_assets.checks.monitoring import monitoring_healthy
from mlcicd_assets.checks.production import serves_champion
from mlcicd_assets.checks.staging import staging_tests
from mlcicd_assets.components.dataset import folder_of
from mlcicd_assets.components.scaffolding import MlModelScaffolder
from mlcicd_assets.ml.catalogue import ModelLane, check_references, dataset_of, load_code, load_datasets
from mlcicd_assets.ml.declarations import ModelDeclaration


@dg.scaffold_with(MlModelScaffolder)
class MlModel(dg.Component):
    """A model with its gates: trained_model, evaluation_report, registered_model, deployments, monitoring."""

    def __init__(self, declaration: ModelDeclaration, folder: Path):
        self.declaration = declaration
        self.folder = folder

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of `attributes:`, closed."""
        return ModelDeclaration

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Make the component of a validated `attributes:`."""
        return cls(ModelDeclaration.model_validate(attributes), folder_of(context))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset per stage and the gates between them."""
        root = Path(context.defs_module_path)
        data = dataset_of(self.declaration, load_datasets(root), self.folder)
        return model_definitions(ModelLane(self.declaration, self.folder, data, load_code(root)))


def model_definitions(lane: ModelLane) -> dg.Definitions:
    """The assets and checks of a model; raises DeclarationError where a reference leads nowhere."""
    check_references(lane.folder, lane.model.references)
    return dg.Definitions(
        assets=[
            trained_model(lane),
            evaluation_report(lane),
            registered_model(lane),
            staging_deployment(lane),
            deployment(lane),
            monitoring_report(lane),
        ],
        asset_checks=[
            holdout_unseen(lane),
            model_gates(lane),
            champion_fresh(lane),
            staging_tests(lane),
            serves_champion(lane),
            aliases_follow_ledger(lane),
            released_without_override(lane),
            monitoring_healthy(lane),
        ],
        schedules=[*reproduce_schedules(lane), *retrain_schedules(lane)],
    )
