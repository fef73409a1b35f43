"""The real thing: Dagster's own command, MLflow, Delta tables, Envoy, model servers, in a home of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# Every so many flights: enough for the gates, quick to train on.
EVERY = 6


@dataclass(frozen=True)
class Home:
    """A home, and the commands a user would type."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLCICD_", "DAGSTER_", "MLFLOW_"))}
        return {**kept, "MLCICD_HOME": str(self.path), "DAGSTER_HOME": str(self.path / "dagster")}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in the project; output and exit code are for the test."""
        arguments = [str(BIN / command[0]), *command[1:]]
        return subprocess.run(
            arguments, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=280
        )

    def materialize(self, select: str, months: str | None = None) -> subprocess.CompletedProcess[str]:
        """Dagster's own command."""
        partitions = ["--partition-range", months] if months else []
        return self.run(
            "dagster", "asset", "materialize", "-f", "definitions.py", "--select", select, *partitions
        )

    def land(self, months: Sequence[str]) -> None:
        """Let a slice of the flights land, and the reference tables whole."""
        for dataset, partitions in (("planes", []), ("weather", []), ("flights", months)):
            span = ["--from", partitions[0], "--until", partitions[-1]] if partitions else []
            done = self.run("mlcicd", "land", dataset, *span)
            assert done.returncode == 0, done.stderr
        for month in months:
            self.rewrite(month, lambda flights: flights.gather_every(EVERY))

    def file(self, month: str) -> Path:
        """Where a month lands."""
        return self.path / "landing" / "flights" / f"{month}.parquet"

    def rewrite(self, month: str, change) -> None:
        """Change what landed, atomically."""
        changed = change(pl.read_parquet(self.file(month)))
        changed.write_parquet(self.file(month).with_suffix(".new"))
        self.file(month).with_suffix(".new").replace(self.file(month))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    assert home.run("mlcicd", "init").returncode == 0
    try:
        yield home
    finally:
        home.run("mlcicd", "serve", "stop")
