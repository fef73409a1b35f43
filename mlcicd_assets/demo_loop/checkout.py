"""A checkout of its own: this project's code with other declarations, in a git repository."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILES = (
    "definitions.py",
    "pyproject.toml",
    "workspace.yaml",
    "dagster.yaml",
    "constraints.txt",
    ".gitignore",
)
_PACKAGES = ("mlcicd_assets", "resources")
_WHO = {"NAME": "the loop", "EMAIL": "loop@example.com"}


@dataclass(frozen=True)
class Checkout:
    """A working tree whose declarations may be changed and committed."""

    root: Path

    @property
    def defs(self) -> Path:
        """The declarations."""
        return self.root / "mlcicd_assets" / "defs"

    def commit(self, message: str) -> str:
        """Commit everything that changed; returns the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, file: str, old: str, new: str) -> None:
        """Change one text in a file below the declarations; raises ValueError where it is not there."""
        path = self.defs / file
        text = path.read_text()
        if old not in text:
            raise ValueError(f"{old!r} is not in {path}")
        path.write_text(text.replace(old, new))

    def git(self, *arguments: str) -> str:
        """What git says; nobody's own settings or hooks count. Raises CalledProcessError."""
        who = {
            f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in _WHO.items()
        }
        environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            environment.pop(name, None)
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """For processes that work with this code and that home, and with nothing else of ours."""
        # Without bytecode every process compiles everything anew, and works all fingerprints out again.
        ours = ("MLCICD_", "DAGSTER_", "MLFLOW_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            "PYTHONPATH": str(self.root),
            "MLCICD_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            **more,
        }


def check_out(source: Path, root: Path, declarations: Mapping[str, Path]) -> Checkout:
    """Copy the code, and each folder of declarations under its name; all of it is the first commit."""
    made = Checkout(root)
    for package in _PACKAGES:
        # Compiled files stay true: times are copied too.
        shutil.copytree(source / package, root / package, ignore=_all_but_code)
    for name in FILES:
        shutil.copy2(source / name, root / name)
    made.defs.mkdir()
    shutil.copy2(source / "mlcicd_assets" / "defs" / "__init__.py", made.defs)
    for name, folder in declarations.items():
        shutil.copytree(folder, made.defs / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    made.git("init", "--quiet", "--initial-branch", "main")
    made.commit("As it was")
    return made


def _all_but_code(folder: str, names: list[str]) -> set[str]:
    """Declarations, and what another process is just compiling."""
    own = {"defs"} if Path(folder).name == "mlcicd_assets" else set()
    return {name for name in names if name in own or ".pyc." in name}
