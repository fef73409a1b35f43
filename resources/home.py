"""The home: the one folder where a machine keeps everything that no URI of the environment replaces."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resources.protocols import ResourceError

_FOLDERS = ("dagster", "lake", "mlflow", "serving", "landing", "reports", "keys", "artifacts")
_SECRET = {"keys"}


@dataclass(frozen=True)
class Home:
    """Paths under the home. Nothing is created before `prepare`."""

    path: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], project_root: Path) -> "Home":
        """`MLCICD_HOME`, else `.mlcicd` in the project; a relative path counts from the project."""
        chosen = environment.get("MLCICD_HOME") or ".mlcicd"
        return cls((project_root / Path(chosen).expanduser()).absolute())

    @property
    def dagster(self) -> Path:
        """Dagster's instance: runs, events, schedules."""
        return self.path / "dagster"

    @property
    def lake(self) -> Path:
        """Delta tables."""
        return self.path / "lake"

    @property
    def mlflow(self) -> Path:
        """The tracking store's database and its artifacts."""
        return self.path / "mlflow"

    @property
    def serving(self) -> Path:
        """Packages that serve, the proxy's configuration, the processes' logs."""
        return self.path / "serving"

    @property
    def landing(self) -> Path:
        """Where upstream systems let files land."""
        return self.path / "landing"

    @property
    def reports(self) -> Path:
        """Pages for people."""
        return self.path / "reports"

    @property
    def keys(self) -> Path:
        """Signing keys; nobody else may look inside."""
        return self.path / "keys"

    @property
    def artifacts(self) -> Path:
        """Packages while they are being made."""
        return self.path / "artifacts"

    @property
    def cache(self) -> Path:
        """What can be made anew at any time, kept because making it takes long."""
        return self.path / "cache"

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.path / "ledger.db"

    def prepare(self) -> "Home":
        """Create the folders that are missing and prove that one can write; raises one ResourceError."""
        try:
            for name in _FOLDERS:
                (self.path / name).mkdir(
                    parents=True, exist_ok=True, mode=0o700 if name in _SECRET else 0o755
                )
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise ResourceError(
                f"the home {self.path} cannot be written ({error.strerror or error}): "
                "make it writable (chmod u+w) or choose another folder with MLCICD_HOME"
            ) from error
        return self
