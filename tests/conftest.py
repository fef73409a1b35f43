"""What holds for every test: a scrubbed environment, and a home of its own."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples each time, and no deadline: a busy machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

# Whatever a developer's shell or .env says must not change what a test sees.
_PREFIXES = ("MLCICD_", "MLFLOW_", "DAGSTER_")
_KEPT = {"MLCICD_CRDS", "MLCICD_TEST_POSTGRES_URL"}


@pytest.fixture(autouse=True)
def scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(_PREFIXES) and name not in _KEPT]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, chosen by the environment as a user would."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("MLCICD_HOME", str(path))
    return path
