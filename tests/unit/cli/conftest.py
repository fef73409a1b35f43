"""A small world to command: declarations, a real package, its proofs, and backends in memory."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlcicd_assets.assets.lifecycle import mirror
from mlcicd_assets.cli.app import app
from mlcicd_assets.cli.session import Session
from mlcicd_assets.ml.artifact.package import Package
from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.ml.evaluation.gates import required
from mlcicd_assets.release.run_files import PACKAGE, VERDICT, Candidate, candidate_pointer, champion_pointer
from mlcicd_assets.release.verdict import seal
from resources.landing import LandingFolder
from resources.ledger import SqlLedger
from resources.predictions import PredictionFolder
from resources.protocols import ModelVersion, Release
from resources.reports import ReportFolder
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.catalogues import write_catalogue
from tests.fakes.memory import GivenKeys, MemoryLake, MemoryRecords
from tests.fakes.packages import build_package, records
from tests.fakes.releases import MODEL, PRIVATE, PUBLIC, verdict
from tests.fakes.requests import MemoryRequests
from tests.fakes.served import answering
from tests.fakes.serving import FakeServing
from tests.fakes.tracking import FolderTracking, MemoryRegistry


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(tmp_path_factory.mktemp("made") / "package")


@pytest.fixture(scope="session")
def address(package: Package) -> Iterator[str]:
    """Version 1 of the model, answering over HTTP."""
    with answering(Scorer.load(package.folder), MODEL, 1) as found:
        yield found


class World:
    """What the command line works with, and shortcuts for what comes before a test."""

    def __init__(self, folder: Path, package: Package, address: str, risk: str = "low") -> None:
        self.folder = folder
        self.made = package
        self.catalogue = write_catalogue(folder / "defs", risk=risk)
        self.lake = MemoryLake()
        self.landing = LandingFolder(folder)
        self.records = MemoryRecords()
        self.tracking = FolderTracking(folder / "runs")
        self.registry = MemoryRegistry(self.tracking)
        self.ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        self.keys = GivenKeys(PRIVATE, PUBLIC)
        self.serving = FakeServing(address=address)
        self.predictions = PredictionFolder(folder / "home" / "serving")
        self.reports = ReportFolder(folder / "reports")
        self.requests = MemoryRequests()
        self.alerts = MemoryAlerts()
        self.risk = risk
        self.environment = {"MLCICD_HOME": str(folder / "home")}

    @property
    def session(self) -> Session:
        names = ("lake", "landing", "records", "tracking", "registry", "ledger", "keys", "serving", "reports")
        resources = {name: getattr(self, name) for name in (*names, "predictions", "requests", "alerts")}
        return Session(self.environment, catalogue=self.catalogue, resources=resources)

    def trained(self, package: Package | None = None, **changes: Any) -> str:
        """Train and evaluate; `changes` go into the verdict. Returns the run's id."""
        made = package or self.made
        gates = [
            {"name": name, "value": 0.71, "bound": bound, "passed": True}
            for name, bound in required(self.catalogue.models[MODEL].model).items()
        ]
        with self.tracking.run(MODEL, "training", {}) as run:
            said = verdict(made.digest, **{"gates": gates, "risk": self.risk, "run_id": run.id, **changes})
            self._keep(run.id, VERDICT, seal(said, PRIVATE))
            self.tracking.store(run.id, made.folder, PACKAGE)
        before = self.ledger.pointer(candidate_pointer(MODEL))
        self.ledger.move(
            candidate_pointer(MODEL),
            expected=before,
            new=Candidate(run.id, made.digest).text(),
            action="trained",
            model=MODEL,
            actor="test",
            digest=made.digest,
        )
        return run.id

    def registered(self, **changes: Any) -> ModelVersion:
        run = self.trained(**changes)
        version = self.registry.register(MODEL, self.made.digest, run, {})
        about = {"actor": "test", "version": version.version, "digest": version.digest}
        self.ledger.append("registered", MODEL, **about)
        mirror(self.ledger, self.registry, MODEL, "test")
        return version

    def champion(self, **changes: Any) -> ModelVersion:
        version = self.registered(**changes)
        self.ledger.move(
            champion_pointer(MODEL),
            expected=None,
            new=str(version.version),
            action="promoted",
            model=MODEL,
            actor="run 1",
            version=version.version,
            digest=version.digest,
        )
        mirror(self.ledger, self.registry, MODEL, "test")
        self.serving.start()
        folder = self.registry.fetch(MODEL, version.version, self.folder / "fetched")
        release = Release(
            MODEL, version.version, version.digest, folder / PACKAGE, folder / VERDICT, "production"
        )
        self.serving.launch(release, self.keys.trusted_keys())
        self.serving.route("production", MODEL, {version.version: 100})
        return version

    def validated(self) -> None:
        """Two months of validated orders."""
        for month in ("2026-01", "2026-02"):
            self.lake.write("orders/raw_data", records(20), partition=month)
            self.lake.write("orders/validated_data", records(20), partition=month)

    def _keep(self, run_id: str, name: str, content: bytes) -> None:
        file = self.folder / name
        file.write_bytes(content)
        self.tracking.store(run_id, file, "")


@pytest.fixture
def make_world(tmp_path: Path, package: Package, address: str) -> Callable[..., World]:
    return lambda risk="low": World(tmp_path, package, address, risk)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


class Command:
    """Runs `mlcicd` in this process."""

    def __init__(self) -> None:
        self.runner = CliRunner()

    def __call__(self, world: World, *arguments: str) -> Result:
        return self.runner.invoke(app, list(arguments), obj=world.session, prog_name="mlcicd")

    def json(self, world: World, *arguments: str) -> Any:
        result = self(world, *arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture(scope="session")
def mlcicd() -> Command:
    return Command()


def today() -> datetime:
    return datetime.now(UTC)
