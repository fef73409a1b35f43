"""What every registry keeps to, and what MLflow's must refuse."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resources import mlflow_artifacts
from resources.mlflow_artifacts import refuse_outside, refuse_tricks
from resources.mlflow_store import MlflowStore
from resources.protocols import Registry, ResourceError, Tracking
from resources.registry import MlflowRegistry
from resources.tracking import MlflowTracking
from tests.fakes.tracking import FolderTracking, MemoryRegistry

A, B = "a" * 64, "b" * 64
Train = Callable[[], str]


@pytest.fixture(params=["mlflow", "fake"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Tracking, Registry]:
    if request.param == "fake":
        tracking = FolderTracking(tmp_path / "runs")
        return tracking, MemoryRegistry(tracking)
    store = request.getfixturevalue("mlflow_store")
    return MlflowTracking(store), MlflowRegistry(store)


@pytest.fixture
def registry(pair: tuple[Tracking, Registry]) -> Registry:
    return pair[1]


@pytest.fixture
def train(pair: tuple[Tracking, Registry], package: Path, tmp_path: Path) -> Train:
    return lambda: trained(pair[0], package, tmp_path)


def trained(tracking: Tracking, package: Path, folder: Path) -> str:
    """A run that holds a package and a verdict."""
    verdict = folder / "verdict.json"
    verdict.write_text("{}")
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.store(run.id, package, "package")
        tracking.store(run.id, verdict, "")
    return run.id


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unknown_model_has_no_versions(registry: Registry) -> None:
    assert registry.versions("flight_delay") == []
    assert registry.get("flight_delay", 1) is None
    assert registry.get("flight_delay", "champion") is None


def test_versions_count_up_and_are_listed_newest_first(registry: Registry, train: Train) -> None:
    first = registry.register("flight_delay", A, train(), {"commit": "c" * 40})
    second = registry.register("flight_delay", B, train(), {})

    assert (first.version, second.version) == (1, 2)
    assert [version.digest for version in registry.versions("flight_delay")] == [B, A]
    assert registry.get("flight_delay", 1) == first
    assert registry.get("flight_delay", "1") == first
    assert first.tags == {"commit": "c" * 40, "digest": A}
    assert first.created.endswith("+00:00")


def test_a_version_is_described_by_what_is_said_about_it(registry: Registry, train: Train) -> None:
    registry.register("flight_delay", A, train(), {"commit": "c"}, about="# flight_delay\n\nLate?")
    registry.register("flight_delay", B, train(), {}, about="x" * 10_000)

    assert description(registry, 1).startswith("# flight_delay\n\nLate?")
    assert description(registry, 2).startswith("xxx")


def description(registry: Registry, version: int) -> str:
    if isinstance(registry, MemoryRegistry):
        return registry.descriptions["flight_delay", version]
    assert isinstance(registry, MlflowRegistry)
    return str(registry._store.client().get_model_version("flight_delay", str(version)).description)


def test_the_same_digest_is_the_same_version(registry: Registry, train: Train) -> None:
    first = registry.register("flight_delay", A, train(), {})

    assert registry.register("flight_delay", A, train(), {"late": "tag"}) == first
    assert len(registry.versions("flight_delay")) == 1


def test_the_same_digest_of_another_model_is_another_version(registry: Registry, train: Train) -> None:
    registry.register("flight_delay", A, train(), {})

    assert registry.register("fraud_detector", A, train(), {}).model == "fraud_detector"
    assert len(registry.versions("flight_delay")) == 1


def test_of_threads_that_register_the_same_content_one_version_remains(
    registry: Registry, train: Train
) -> None:
    run_id = train()

    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: registry.register("flight_delay", A, run_id, {}), range(3)))

    remaining = registry.versions("flight_delay")
    assert len(remaining) == 1
    assert {version.version for version in made} == {remaining[0].version}


def test_a_run_without_package_is_not_registered(
    pair: tuple[Tracking, Registry],
) -> None:
    tracking, registry = pair
    with tracking.run("flight_delay", "train", {}) as run:
        pass

    with pytest.raises(ResourceError, match="holds no package"):
        registry.register("flight_delay", A, run.id, {})
    assert registry.versions("flight_delay") == []


def test_an_alias_moves_and_setting_it_again_changes_nothing(registry: Registry, train: Train) -> None:
    for digest in (A, B):
        registry.register("flight_delay", digest, train(), {})
    for version in (1, 2, 2):
        registry.set_alias("flight_delay", "champion", version)
    registry.set_alias("flight_delay", "previous", 1)
    registry.set_alias("flight_delay", "challenger", 2)

    champion = registry.get("flight_delay", "champion")
    assert champion is not None
    assert (champion.version, champion.aliases) == (2, ("challenger", "champion"))
    assert [version.aliases for version in registry.versions("flight_delay")] == [
        ("challenger", "champion"),
        ("previous",),
    ]


def test_an_alias_is_removed_once_or_twice(registry: Registry, train: Train) -> None:
    registry.register("flight_delay", A, train(), {})
    registry.set_alias("flight_delay", "challenger", 1)

    for _ in range(2):
        registry.set_alias("flight_delay", "challenger", None)

    assert registry.get("flight_delay", "challenger") is None
    registry.set_alias("unknown", "challenger", None)


def test_an_alias_to_nothing_is_refused(registry: Registry, train: Train) -> None:
    registry.register("flight_delay", A, train(), {})

    with pytest.raises(ResourceError):
        registry.set_alias("flight_delay", "champion", 7)
    assert registry.get("flight_delay", "champion") is None


def test_tags_are_added_to_those_that_stand(registry: Registry, train: Train) -> None:
    registry.register("flight_delay", A, train(), {"commit": "c"})

    registry.tag("flight_delay", 1, {"lifecycle": "production", "commit": "d"})

    found = registry.get("flight_delay", 1)
    assert found is not None
    assert found.tags == {"commit": "d", "digest": A, "lifecycle": "production"}
    with pytest.raises(ResourceError):
        registry.tag("flight_delay", 7, {"lifecycle": "production"})


def test_package_and_verdict_are_fetched(
    registry: Registry, train: Train, package: Path, tmp_path: Path
) -> None:
    registry.register("flight_delay", A, train(), {})

    into = registry.fetch("flight_delay", 1, tmp_path / "release")

    assert into == tmp_path / "release"
    assert sorted(path.name for path in into.iterdir()) == ["package", "verdict.json"]
    assert tree(into / "package") == tree(package)


def test_a_version_without_verdict_is_not_fetched(
    pair: tuple[Tracking, Registry], package: Path, tmp_path: Path
) -> None:
    tracking, registry = pair
    with tracking.run("flight_delay", "train", {}) as run:
        tracking.store(run.id, package, "package")
    registry.register("flight_delay", A, run.id, {})

    with pytest.raises(ResourceError, match=r"verdict\.json"):
        registry.fetch("flight_delay", 1, tmp_path / "release")
    with pytest.raises(ResourceError, match="no version 7"):
        registry.fetch("flight_delay", 7, tmp_path / "release")


# -- MLflow alone: the holes it has had ------------------------------------------------------------------


@pytest.fixture
def tampered(mlflow_store: MlflowStore, package: Path, tmp_path: Path) -> Callable[[str], MlflowRegistry]:
    """A registry whose version 1 of `m` points where the given source says ({own} is the run's package)."""
    run_id = trained(MlflowTracking(mlflow_store), package, tmp_path)
    client = mlflow_store.client()
    own = f"{client.get_run(run_id).info.artifact_uri}/package"

    def point(source: str) -> MlflowRegistry:
        client.create_registered_model("m")
        client.create_model_version("m", source.format(own=own), run_id, await_creation_for=0)
        return MlflowRegistry(mlflow_store)

    return point


def refused(registry: Registry, tmp_path: Path, reason: str) -> None:
    with pytest.raises(ResourceError, match=reason):
        registry.fetch("m", 1, tmp_path / "release")
    assert not (tmp_path / "release" / "package").exists()


def test_the_run_s_own_package_is_no_attack(
    tampered: Callable[[str], MlflowRegistry], tmp_path: Path
) -> None:
    tampered("{own}").fetch("m", 1, tmp_path / "release")

    assert (tmp_path / "release" / "package" / "manifest.json").exists()


def test_dots_in_the_source_are_refused(tampered: Callable[[str], MlflowRegistry], tmp_path: Path) -> None:
    refused(tampered("{own}/../../../../../../etc"), tmp_path, r"'\.\.' in it")


@pytest.mark.parametrize("dots", ["%2e%2e", "%2E%2e", "%252e%252e", "..%2f..", ".%2e", "%2e"])
def test_encoded_dots_in_the_source_are_refused(
    tampered: Callable[[str], MlflowRegistry], tmp_path: Path, dots: str
) -> None:
    refused(tampered(f"{{own}}/{dots}/etc"), tmp_path, r"'\.\.' in it")


@pytest.mark.parametrize("slash", ["\\", "%5c", "%255C"])
def test_a_backslash_in_the_source_is_refused(
    tampered: Callable[[str], MlflowRegistry], tmp_path: Path, slash: str
) -> None:
    refused(tampered(f"{{own}}{slash}..{slash}etc"), tmp_path, "backslash")


@pytest.mark.parametrize(
    "source", ["file:///etc", "/etc", "file:etc", "s3://bucket/package", "http://host/package"]
)
def test_a_source_outside_the_store_is_refused(
    tampered: Callable[[str], MlflowRegistry], tmp_path: Path, source: str
) -> None:
    refused(tampered(source), tmp_path, "outside the store")


def test_a_folder_whose_name_only_begins_like_the_store_s_is_outside(
    mlflow_store: MlflowStore, tampered: Callable[[str], MlflowRegistry], tmp_path: Path
) -> None:
    refused(tampered(f"{mlflow_store.artifacts}-of-others/package"), tmp_path, "outside the store")


def test_another_run_s_package_is_refused(
    mlflow_store: MlflowStore, tampered: Callable[[str], MlflowRegistry], package: Path, tmp_path: Path
) -> None:
    other = trained(MlflowTracking(mlflow_store), package, tmp_path)
    source = f"{mlflow_store.client().get_run(other).info.artifact_uri}/package"

    refused(tampered(source), tmp_path, "not the package of its run")


def test_an_experiment_that_keeps_its_files_elsewhere_is_refused(
    mlflow_store: MlflowStore, tmp_path: Path
) -> None:
    client = mlflow_store.client()
    elsewhere = client.create_experiment("flight_delay", artifact_location=(tmp_path / "elsewhere").as_uri())
    run = client.create_run(elsewhere)
    client.log_text(run.info.run_id, "{}", "verdict.json")

    with pytest.raises(ResourceError, match="outside the store"):
        MlflowTracking(mlflow_store).fetch(run.info.run_id, "verdict.json", tmp_path / "got")


@pytest.mark.parametrize("place", ["package/model.onnx", "package/lookups", "package", ".", ".."])
def test_a_symbolic_link_in_the_store_is_refused(
    mlflow_store: MlflowStore, tampered: Callable[[str], MlflowRegistry], tmp_path: Path, place: str
) -> None:
    registry = tampered("{own}")
    (artifacts,) = (tmp_path / "mlflow" / "artifacts" / "flight_delay").glob("*/artifacts")
    linked = Path(os.path.normpath(artifacts / place))
    linked.rename(tmp_path / "moved")
    linked.symlink_to(tmp_path / "moved")

    refused(registry, tmp_path, "symbolic link|leads out of")


def test_a_remote_store_never_reads_this_machine_s_files(mlflow_store: MlflowStore, tmp_path: Path) -> None:
    remote = MlflowStore("https://ml.example.org")

    for uri in ("file:///etc/passwd", "/etc/passwd"):
        with pytest.raises(ResourceError, match="MLCICD_MLFLOW_ARTIFACTS"):
            refuse_outside(remote, uri)
    refuse_outside(remote, "mlflow-artifacts:/1/run/artifacts/package")
    refuse_outside(remote, "s3://bucket/1/run/artifacts/package")


@pytest.mark.parametrize("plain", ["package", "package/model.onnx", "file:///srv/a%20b/...odd/package"])
def test_plain_names_are_no_tricks(plain: str) -> None:
    refuse_tricks(plain)


class LyingClient:
    """A tracking server that lists, or writes, what it should not."""

    def __init__(self, listed: str, escape: bool = False) -> None:
        self.listed = listed
        self.escape = escape

    def list_artifacts(self, run_id: str, path: str) -> list[Any]:
        return [SimpleNamespace(path=self.listed, is_dir=False)]

    def download_artifacts(self, run_id: str, path: str, into: str) -> str:
        folder = Path(into).parent / "escaped" if self.escape else Path(into) / path
        folder.mkdir()
        (folder / "link").symlink_to("/etc/passwd")
        return str(folder)


@pytest.mark.parametrize(
    "listed", ["package/../../x", "/etc/passwd", "package/%2e%2e/x", "other/x", "package\\x"]
)
def test_a_server_that_lists_names_outside_is_refused(tmp_path: Path, listed: str) -> None:
    with pytest.raises(ResourceError, match="refused"):
        mlflow_artifacts._download(LyingClient(listed), "run", "package", tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(("escape", "reason"), [(False, "symbolic link"), (True, "was put outside")])
def test_a_download_that_escapes_or_links_is_refused(tmp_path: Path, escape: bool, reason: str) -> None:
    client: Any = LyingClient("package/x", escape)
    (tmp_path / "into").mkdir()

    with pytest.raises(ResourceError, match=reason):
        mlflow_artifacts._download(client, "run", "package", tmp_path / "into")
