"""What every store keeps to when something is deleted from it."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.lake import DeltaLake
from resources.mlflow_store import MlflowStore
from resources.protocols import Lake, Registry, ResourceError, Tracking
from resources.registry import MlflowRegistry
from resources.reports import ReportFolder
from resources.tracking import MlflowTracking
from tests.fakes.memory import MemoryLake
from tests.fakes.tracking import FolderTracking, MemoryRegistry


@pytest.fixture(params=["mlflow", "fake"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Tracking, Registry]:
    if request.param == "fake":
        tracking = FolderTracking(tmp_path / "runs")
        return tracking, MemoryRegistry(tracking)
    store: MlflowStore = request.getfixturevalue("mlflow_store")
    return MlflowTracking(store), MlflowRegistry(store)


def trained(tracking: Tracking, package: Path) -> str:
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.store(run.id, package, "package")
    return run.id


def test_a_deleted_run_is_gone_with_its_files_and_may_be_deleted_again(
    pair: tuple[Tracking, Registry], package: Path, tmp_path: Path
) -> None:
    tracking, _ = pair
    first, second = trained(tracking, package), trained(tracking, package)

    tracking.delete(first)
    tracking.delete(first)

    assert [run.id for run in tracking.list_runs("flight_delay")] == [second]
    assert tracking.list_runs("flight_delay")[0].started.endswith("+00:00")
    with pytest.raises(ResourceError):
        tracking.fetch(first, "package", tmp_path / "fetched")
    assert tracking.fetch(second, "package", tmp_path / "fetched").is_dir()
    assert tracking.list_runs("unheard_of") == []


def test_a_part_of_a_run_names_its_whole(pair: tuple[Tracking, Registry]) -> None:
    tracking, _ = pair
    with (
        tracking.run("flight_delay", "search", {}) as whole,
        tracking.run("flight_delay", "trial", {}, parent=whole.id) as trial,
    ):
        pass

    assert {run.id: run.parent for run in tracking.list_runs("flight_delay")} == {
        whole.id: None,
        trial.id: whole.id,
    }


def test_a_deleted_versions_number_is_never_given_again(
    pair: tuple[Tracking, Registry], package: Path
) -> None:
    tracking, registry = pair
    for digest in ("a" * 64, "b" * 64):
        registry.register("flight_delay", digest, trained(tracking, package), {})

    registry.delete_version("flight_delay", 2)
    registry.delete_version("flight_delay", 2)
    registry.delete_version("unheard_of", 1)

    assert [version.version for version in registry.versions("flight_delay")] == [1]
    assert registry.register("flight_delay", "c" * 64, trained(tracking, package), {}).version == 3


def test_a_version_with_an_alias_is_not_deleted(pair: tuple[Tracking, Registry], package: Path) -> None:
    tracking, registry = pair
    registry.register("flight_delay", "a" * 64, trained(tracking, package), {})
    registry.set_alias("flight_delay", "champion", 1)

    with pytest.raises(ResourceError, match="it is champion"):
        registry.delete_version("flight_delay", 1)
    assert registry.get("flight_delay", "champion") is not None


@pytest.fixture(params=["delta", "fake"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return MemoryLake() if request.param == "fake" else DeltaLake(str(tmp_path / "lake"))


def rows(number: int) -> pl.DataFrame:
    return pl.DataFrame({"key": [number], "value": [number * 1.5]})


def test_vacuum_keeps_the_current_rows_and_the_versions_that_are_named(lake: Lake) -> None:
    versions = [
        lake.write("flights/features", rows(number), partition="2026-01").version for number in range(4)
    ]

    would = lake.vacuum("flights/features", older_than=timedelta(0), keep=[versions[1]])
    assert lake.scan("flights/features", version=versions[0]).collect().height == 1  # a dry run
    gone = lake.vacuum("flights/features", older_than=timedelta(0), keep=[versions[1]], dry_run=False)

    assert would
    assert len(gone) == len(would)
    assert lake.scan("flights/features").collect()["key"].to_list() == [3]
    assert lake.scan("flights/features", version=versions[1]).collect()["key"].to_list() == [1]
    with pytest.raises(Exception, match=r".+"):
        lake.scan("flights/features", version=versions[0]).collect()
    assert lake.vacuum("flights/features", older_than=timedelta(0), keep=[versions[1]], dry_run=False) == []


def test_what_was_replaced_lately_stays(lake: Lake) -> None:
    for number in range(3):
        lake.write("flights/features", rows(number))

    assert lake.vacuum("flights/features", older_than=timedelta(days=1), dry_run=False) == []
    assert lake.vacuum("unheard/of", older_than=timedelta(0)) == []


def test_pages_are_listed_and_removed(tmp_path: Path) -> None:
    reports = ReportFolder(tmp_path / "reports")
    reports.save("flight_delay/1a.html", "<p>")
    reports.save("flight_delay/rollouts/2b.html", "<p>")

    assert [page.name for page in reports.pages("flight_delay")] == [
        "flight_delay/1a.html",
        "flight_delay/rollouts/2b.html",
    ]
    reports.remove("flight_delay/1a.html")
    reports.remove("flight_delay/1a.html")
    assert len(reports.pages("flight_delay")) == 1
    assert reports.pages("unheard_of") == []
    with pytest.raises(ResourceError, match="leaves"):
        reports.remove("../keys/signing.pem")


def test_artifacts_outside_the_store_are_not_deleted(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    from resources.mlflow_artifacts import delete_artifacts

    (tmp_path / "precious").mkdir()

    with pytest.raises(ResourceError, match="refused"):
        delete_artifacts(mlflow_store, (tmp_path / "precious").as_uri())
    assert (tmp_path / "precious").is_dir()
