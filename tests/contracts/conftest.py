"""An MLflow store that is new for each test, without its second of migrations for each."""

import shutil
from pathlib import Path

import pytest

from resources.mlflow_store import MlflowStore


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mlflow")
    MlflowStore.in_folder(folder).client()
    return folder / "mlflow.db"


@pytest.fixture
def mlflow_store(_migrated: Path, tmp_path: Path) -> MlflowStore:
    (tmp_path / "mlflow").mkdir()
    shutil.copyfile(_migrated, tmp_path / "mlflow" / "mlflow.db")
    return MlflowStore.in_folder(tmp_path / "mlflow")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with files, as far as tracking and registry know."""
    folder = tmp_path / "made" / "package"
    (folder / "lookups").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"format":1}')
    (folder / "model.onnx").write_bytes(bytes(range(256)))
    (folder / "lookups" / "planes.parquet").write_bytes(b"PAR1")
    return folder
