"""supervisord for one serving folder: its configuration, its start, and what it says of its programs.

http://supervisord.org — version 4, asked over its XML-RPC interface on a Unix socket.
"""

import hashlib
import http.client
import os
import shlex
import socket
import stat
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resources.processes import MARK
from resources.protocols import ResourceError
from resources.serving_state import write_whole

# A refused server stays alive a little longer than this: what ends sooner counts as a failed start and is
# tried again, what ends later with this exit code is not.
START_S = 5
FINAL_EXIT = 78
# The kernel's limit is 107 bytes; supervisord binds under the name with its process number appended first.
_SOCKET_BYTES = 96
# Servers get what they need to run, and no secret that the pipeline was given.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE")
_PROJECT = Path(__file__).resolve().parents[1]


def server_environment() -> dict[str, str]:
    """The environment variables that a model server is started with."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    paths = [str(_PROJECT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
    }


@dataclass(frozen=True)
class Program:
    """What is kept alive; the command runs in the serving folder."""

    name: str
    command: Sequence[str]
    start_s: int = START_S
    retries: int = 3
    stop_s: int = 40
    always: bool = False  # restarted even after an exit that says it is final


@dataclass(frozen=True)
class Process:
    """What supervisord says of a program: STARTING, RUNNING, BACKOFF, EXITED, FATAL, STOPPED, STOPPING."""

    name: str
    state: str
    pid: int | None
    description: str


class Supervisor:
    """The supervisord of one folder; found by its socket, and by nothing that a crash could leave behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._identity = hashlib.sha256(str(folder).encode()).hexdigest()[:16]

    @property
    def socket(self) -> Path:
        """Where it listens: in the folder, or in a private short one when the folder's path is too long."""
        inside = self.folder / "supervisor.sock"
        if len(os.fsencode(inside)) <= _SOCKET_BYTES:
            return inside
        # Not the environment's temporary folder: every process must find the same one.
        return Path("/tmp") / f"mlcicd-{os.geteuid()}" / f"{self._identity}.sock"  # noqa: S108

    def log(self, name: str) -> Path:
        """Where a program's output goes."""
        return self.folder / "logs" / f"{name}.log"

    def last_lines(self, name: str) -> list[str]:
        """The end of a program's output, oldest first, without empty lines."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines() if line.strip()]

    # -- the daemon -----------------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Whether it answers, and is this folder's."""
        try:
            return bool(self._call("getIdentification") == self._identity)
        except ResourceError:
            return False

    def start(self, programs: Iterable[Program]) -> None:
        """Start it as a daemon that outlives this process; raises ResourceError with its own words."""
        self.configure(programs)
        for log in (self.folder / "logs").glob("*.log"):
            log.replace(log.with_suffix(".log.before"))
        if self.socket.parent != self.folder:
            _private_folder(self.socket.parent)
        # A new session, no inherited descriptors and no terminal: nothing of the caller stays held.
        command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                start_new_session=True,
                check=False,
                timeout=60,
            )
        except subprocess.TimeoutExpired as error:
            raise ResourceError(f"{self.folder}: supervisord did not start within 60 s") from error
        if done.returncode:
            raise ResourceError(f"{self.folder}: supervisord did not start: {done.stderr.strip()[-500:]}")

    def shutdown(self) -> None:
        """Tell it to stop everything and end; returns before it has."""
        self._call("shutdown")

    def _environment(self) -> dict[str, str]:
        return {**server_environment(), MARK: str(self.folder)}

    # -- its programs ---------------------------------------------------------------------------------

    def configure(self, programs: Iterable[Program]) -> None:
        """Write its configuration; a running one takes it up with `add` and `remove`."""
        if "%" in str(self.folder):
            raise ResourceError(
                f"{self.folder}: supervisord takes no '%' in a path; choose another MLCICD_HOME"
            )
        (self.folder / "logs").mkdir(mode=0o700, exist_ok=True)
        write_whole(self.folder / "supervisord.conf", render(self._identity, self.socket, programs))

    def processes(self) -> dict[str, Process]:
        """Every program it knows; empty when it is not running."""
        try:
            found = self._call("getAllProcessInfo")
        except ResourceError:
            return {}
        return {
            info["name"]: Process(info["name"], info["statename"], info["pid"] or None, info["description"])
            for info in found
        }

    def add(self, name: str) -> None:
        """Take up and start a program of the configuration; one that is known is started if it is down."""
        known = self.processes().get(name)
        if known is None:
            self.log(name).unlink(missing_ok=True)
            self._call("reloadConfig")
            self._call("addProcessGroup", name)
        elif known.state in {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}:
            self._call("startProcess", name, False)

    def remove(self, name: str) -> None:
        """Stop a program (SIGTERM, then SIGKILL) and forget it; nothing when it is not known."""
        known = self.processes().get(name)
        if known is None:
            return
        if known.state not in {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}:
            self._call("stopProcess", name, True, timeout_s=60)
        self._call("reloadConfig")
        self._call("removeProcessGroup", name)

    def _call(self, method: str, *arguments: Any, timeout_s: float = 10.0) -> Any:
        transport = _UnixTransport(self.socket, timeout_s)
        proxy = xmlrpc.client.ServerProxy("http://supervisor/RPC2", transport=transport, allow_none=True)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise ResourceError(f"{self.folder}: supervisord: {method}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise ResourceError(f"{self.folder}: supervisord does not answer ({error})") from error
        finally:
            transport.close()


def render(identity: str, socket_path: Path, programs: Iterable[Program]) -> str:
    """The configuration file. The folder itself stands as `%(here)s`, whatever characters it has."""
    sections: dict[str, Mapping[str, object]] = {
        "unix_http_server": {"file": _plain(socket_path), "chmod": "0700"},
        "supervisord": {
            "identifier": identity,
            "logfile": "%(here)s/logs/supervisord.log",
            "logfile_maxbytes": "1MB",
            "logfile_backups": 1,
            "pidfile": "%(here)s/supervisord.pid",
            "childlogdir": "%(here)s/logs",
            "umask": "077",
            "minfds": 256,
            "minprocs": 32,
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        **{f"program:{program.name}": _program(program) for program in programs},
    }
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in section.items())
        for name, section in sections.items()
    )


def _program(program: Program) -> dict[str, object]:
    return {
        "command": _plain(shlex.join(program.command)),
        "directory": "%(here)s",
        "autostart": "true",
        "autorestart": "true" if program.always else "unexpected",
        "exitcodes": f"0,{FINAL_EXIT}",
        "startsecs": program.start_s,
        "startretries": program.retries,
        "stopsignal": "TERM",
        "stopwaitsecs": program.stop_s,
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": f"%(here)s/logs/{program.name}.log",
        "stdout_logfile_maxbytes": "2MB",
        "stdout_logfile_backups": 1,
    }


def _plain(value: object) -> str:
    """A value as the file's syntax takes it: `%` doubled, and nothing that would start a comment."""
    text = str(value)
    if " ;" in text or " #" in text or "\n" in text:
        raise ResourceError(f"{text!r} has a comment sign or a line break in it; choose another folder")
    return text.replace("%", "%%")


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ResourceError(f"{folder}: is not a folder that only this user may enter; remove it")


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket, with a timeout, which supervisor's own client does not have."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("supervisor", timeout=self._timeout)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(self._timeout)
        connection.sock.connect(str(self._path))
        self._connection = (host, connection)
        return connection
