"""The whole asset chain in one process: real lake, ledger, keys and packages; MLflow and Envoy as fakes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.components.dataset import dataset_definitions
from mlcicd_assets.components.ml_model import model_definitions
from mlcicd_assets.components.source import code_definitions
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.catalogue import load_all
from resources.git import SystemGit
from resources.keys import FileKeys
from resources.lake import DeltaLake
from resources.landing import LandingFolder
from resources.ledger import SqlLedger
from resources.predictions import PredictionFolder
from resources.protocols import Release, ServerStatus, ServingStatus
from resources.records import SqlRecords
from resources.reports import ReportFolder
from resources.source_sql import SqlWarehouse
from resources.studies import OptunaStudies
from resources.traffic_history import ReadTraffic
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.projects import MONTHS, Project, write_project
from tests.fakes.requests import MemoryRequests
from tests.fakes.served import answering
from tests.fakes.serving import FakeServing
from tests.fakes.tracking import FolderTracking, MemoryRegistry


class AnsweringServing(FakeServing):
    """Each launched version answers on a real port; an environment's address is its routed version's."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self._stack = stack
        self._ports: dict[tuple[str, int], str] = {}

    def launch(self, release: Release, trusted_keys: Sequence[bytes]) -> ServerStatus:
        server = super().launch(release, trusted_keys)
        key = (release.environment, release.version)
        if key not in self._ports:
            scorer = Scorer.load(release.package, expected=release.digest)
            address = self._stack.enter_context(answering(scorer, release.model, release.version))
            self._ports[key] = address
        return replace(server, address=self._ports[key])

    def status(self) -> ServingStatus:
        status = super().status()
        addresses = dict(status.addresses)
        for server in status.servers:
            if server.weight > 50:
                addresses[server.environment] = self._ports[server.environment, server.version]
        servers = [replace(one, address=self._ports[one.environment, one.version]) for one in status.servers]
        return replace(status, addresses=addresses, servers=servers)


@dataclass
class Pipeline:
    """A project and everything it runs on."""

    project: Project
    resources: dict[str, Any]
    instance: dg.DagsterInstance
    checks: dict[str, dg.AssetCheckEvaluation] = field(default_factory=dict)

    def materialize(
        self,
        select: str = "*",
        months: tuple[str, str] | None = (MONTHS[0], MONTHS[-1]),
        config: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize what `select` names, in one run; failures are in the result, not raised."""
        catalogue = load_all(self.project.defs)
        parts = [dataset_definitions(lane) for lane in catalogue.datasets.values()]
        parts += [model_definitions(lane) for lane in catalogue.models.values()]
        if catalogue.code:
            parts.append(code_definitions(catalogue.code, self.project.defs))
        definitions = dg.Definitions.merge(
            *parts, dg.Definitions(resources=self.resources, executor=dg.in_process_executor)
        )
        selection = dg.AssetSelection.from_string(select)
        job = dg.define_asset_job("chosen", selection=selection)
        resolved = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("chosen")
        partitioned = resolved.partitions_def is not None and months is not None
        ranged = {}
        if partitioned and months:
            ranged = {
                "dagster/asset_partition_range_start": months[0],
                "dagster/asset_partition_range_end": months[1],
            }
        result = resolved.execute_in_process(
            instance=self.instance,
            raise_on_error=False,
            tags={**ranged, **(tags or {})},
            run_config=config or {},
        )
        self.checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
        return result

    def champion(self) -> str | None:
        """The version that the ledger calls champion."""
        return self.resources["ledger"].pointer("champion/returns")


def failures(result: dg.ExecuteInProcessResult) -> str:
    """What the failed steps of a run said."""
    said = []
    for event in result.get_step_failure_events():
        error = event.event_specific_data.error
        said.append(str(error.cause or error))
        said.append(str(event.event_specific_data.user_failure_data or ""))
    return "\n".join(said)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A small project whose data has not landed yet."""
    with opened(tmp_path) as made:
        yield made


@contextmanager
def opened(tmp_path: Path) -> Iterator[Pipeline]:
    """The same below any folder, for a module that releases once."""
    home = tmp_path / "home"
    home.mkdir()
    tracking = FolderTracking(tmp_path / "runs")
    with ExitStack() as stack, dg.DagsterInstance.ephemeral() as instance:
        resources = {
            "lake": DeltaLake(str(home / "lake")),
            "landing": LandingFolder(home),
            "warehouse": SqlWarehouse({"WAREHOUSE_URL": f"sqlite:///{home}/warehouse.db"}),
            "records": SqlRecords(f"sqlite:///{home}/records.db"),
            "tracking": tracking,
            "studies": OptunaStudies(f"sqlite:///{home}/tuning.db"),
            "registry": MemoryRegistry(tracking),
            "ledger": SqlLedger(f"sqlite:///{home}/ledger.db"),
            "keys": FileKeys(home / "keys"),
            "reports": ReportFolder(home / "reports"),
            "serving": AnsweringServing(stack),
            "predictions": PredictionFolder(home / "serving"),
            "traffic_history": ReadTraffic(home / "traffic"),
            "requests": MemoryRequests(),
            "alerts": MemoryAlerts(),
            "git": SystemGit(tmp_path),
        }
        yield Pipeline(write_project(tmp_path / "project", home), resources, instance)
