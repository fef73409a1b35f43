"""`mlcicd init`: makes the home, and puts Dagster's settings where Dagster looks for them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import typer

from mlcicd_assets.cli.session import Session, session_of

SETTINGS = "dagster.yaml"


def init(context: typer.Context) -> None:
    """Make the home, and Dagster's home in it."""
    session = session_of(context)
    home = prepare(session)
    first_open(dagster_home(session))
    typer.echo(f"the home is {home}")


def prepare(session: Session) -> Path:
    """Make the home's folders and the Dagster home; returns the home. Raises ResourceError."""
    home = session.home.prepare()
    folder = dagster_home(session)
    source, target = settings_source(), folder / SETTINGS
    # A Dagster home elsewhere is somebody's own: its settings are never replaced.
    ours = folder == home.dagster
    if not target.exists() or (ours and target.read_bytes() != source.read_bytes()):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return home.path


def first_open(folder: Path) -> None:
    """Let one process alone make Dagster's databases: several at once break a fresh SQLite home."""
    from resources.protocols import ResourceError

    if (folder / "history").exists() or (folder / "storage").exists():
        return
    command = [sys.executable, "-m", "dagster", "instance", "info"]
    environment = {**os.environ, "DAGSTER_HOME": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ResourceError(f"Dagster's home {folder} cannot be opened: {done.stderr.strip()[-300:]}")


def dagster_home(session: Session) -> Path:
    """`DAGSTER_HOME`, else the home's own folder."""
    chosen = session.environment.get("DAGSTER_HOME")
    return Path(chosen) if chosen else session.home.dagster


def settings_source() -> Path:
    """The project's dagster.yaml; raises ResourceError where the project is not here."""
    from resources import PROJECT
    from resources.protocols import ResourceError

    source = PROJECT / SETTINGS
    if not source.is_file():
        raise ResourceError(f"{source} is missing: run mlcicd from a checkout of the project")
    return source
