"""What the pipeline talks to. `build_resources` is the only place where an environment is chosen."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.home import Home

if TYPE_CHECKING:
    from resources.protocols import Landing, Records, Warehouse

_ROOT = Path(__file__).parents[1]
# The checkout; installed as a library, the project is where the command runs.
PROJECT = _ROOT if (_ROOT / "pyproject.toml").is_file() else Path.cwd()


@dataclass(frozen=True)
class Observed:
    """What has landed, what was made of it, and who is champion."""

    landing: "Landing"
    records: "Records"
    champions: Callable[[Iterable[str]], Mapping[str, str]]  # models -> digests
    save: Callable[[], None]  # keeps what was learned of files
    files: Callable[[], Mapping[str, str]] = dict  # of the project: path -> content
    warehouse: "Warehouse | None" = None  # asked for watermarks; None: what a query gives counts as unchanged


def home(environment: Mapping[str, str] | None = None) -> Home:
    """The folder that holds everything on one machine (`MLCICD_HOME`)."""
    return Home.from_environment(os.environ if environment is None else environment, PROJECT)


def build_resources(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Make the resources by the names that assets ask for.

    `MLCICD_LAKE_URI`, `MLFLOW_TRACKING_URI` and `MLCICD_LEDGER_URL` replace the embedded backends; nothing is
    opened here, so that loading definitions stays light.
    """
    from resources.alert_settings import FileNotifier
    from resources.alerts_sql import SqlAlerts
    from resources.arrivals import WholeFiles
    from resources.compaction import LakeArchive
    from resources.dagster_mlflow_bridge import active_run
    from resources.file_manifest import FileManifest
    from resources.git import SystemGit
    from resources.inbox_sqlite import SqliteInbox
    from resources.keys import FileKeys
    from resources.lake import DeltaLake
    from resources.landing import LandingFolder, file_fingerprint
    from resources.ledger import SqlLedger
    from resources.mlflow_store import MlflowStore
    from resources.predictions import PredictionFolder, RecordedPredictions
    from resources.prometheus import PrometheusTraffic
    from resources.records import SqlRecords
    from resources.registry import MlflowRegistry
    from resources.reports import ReportFolder
    from resources.repository_git import WatchedRepository
    from resources.requests_sql import SqlRequests
    from resources.serving_local import LocalServing
    from resources.source_sql import SqlWarehouse
    from resources.studies import OptunaStudies
    from resources.tracking import MlflowTracking
    from resources.traffic_history import ReadTraffic

    env = os.environ if environment is None else environment
    place = home(env)
    store = MlflowStore.from_environment(env, place.mlflow)
    lake = DeltaLake(env.get("MLCICD_LAKE_URI") or str(place.lake))
    recorded = PredictionFolder(place.serving)
    manifest = FileManifest(place.cache / "landed.json", file_fingerprint, every=64)
    return {
        "lake": lake,
        "landing": LandingFolder(place.path),
        # For sensors, which ask each time: files that did not change are not read again, and those that are
        # still being written are left out.
        "known_landing": WholeFiles(LandingFolder(place.path, manifest.fingerprint)),
        "warehouse": SqlWarehouse(env),
        "records": SqlRecords(env.get("MLCICD_RECORDS_URL") or f"sqlite:///{place.path}/records.db"),
        "tracking": MlflowTracking(store, surrounding=active_run),
        "studies": OptunaStudies(env.get("MLCICD_TUNING_URL") or f"sqlite:///{place.path}/tuning.db"),
        "registry": MlflowRegistry(store),
        "ledger": SqlLedger(env.get("MLCICD_LEDGER_URL") or f"sqlite:///{place.ledger}"),
        "keys": FileKeys.from_environment(place.keys, env),
        "reports": ReportFolder(place.reports),
        "serving": LocalServing(place.serving, keys=place.keys),
        "predictions": RecordedPredictions(recorded, lake),
        "prediction_archive": LakeArchive(recorded, lake),
        "traffic_history": PrometheusTraffic.from_environment(env) or ReadTraffic(place.serving / "traffic"),
        "git": SystemGit(PROJECT),
        "repository": WatchedRepository(env, PROJECT, place.cache / "git"),
        "inbox": SqliteInbox(place.path / "inbox.db"),
        "requests": SqlRequests(env.get("MLCICD_REQUESTS_URL") or f"sqlite:///{place.path}/requests.db"),
        "alerts": SqlAlerts(
            env.get("MLCICD_ALERTS_URL") or f"sqlite:///{place.path}/alerts.db",
            FileNotifier(PROJECT, place.path, env),
        ),
    }


def build_observed(environment: Mapping[str, str] | None = None) -> Observed:
    """Only what staleness is decided from, by imports that take no time; nothing is opened here."""
    from resources.file_manifest import FileManifest
    from resources.landing import LandingFolder, file_fingerprint
    from resources.ledger_champions import champion_digests
    from resources.records import SqlRecords
    from resources.source_sql import SqlWarehouse
    from resources.worktree import file_digest, tree_files

    env = os.environ if environment is None else environment
    place = home(env)
    manifest = FileManifest(place.cache / "landed.json", file_fingerprint)
    source = FileManifest(place.cache / "source.json", file_digest)
    ledger = env.get("MLCICD_LEDGER_URL") or f"sqlite:///{place.ledger}"

    def save() -> None:
        manifest.save()
        if source.used:  # else nothing was asked of the code
            source.save()

    return Observed(
        landing=LandingFolder(place.path, manifest.fingerprint),
        records=SqlRecords(env.get("MLCICD_RECORDS_URL") or f"sqlite:///{place.path}/records.db"),
        champions=lambda models: champion_digests(ledger, models),
        save=save,
        files=lambda: tree_files(PROJECT, source),
        warehouse=SqlWarehouse(env),
    )
