"""One tiny package for all tests that only read it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlcicd_assets.ml.artifact.package import Package
from tests.fakes.packages import build_package


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build_package(tmp_path_factory.mktemp("packages") / "shop_risk")


@pytest.fixture
def copied(package: Package, tmp_path: Path) -> Path:
    """A copy of the package that may be spoiled."""
    return Path(shutil.copytree(package.folder, tmp_path / "copied"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a Python file, as a user would."""

    def _write(source: str, name: str = "model.py") -> Path:
        path = tmp_path / name
        path.write_text(source)
        return path

    return _write
