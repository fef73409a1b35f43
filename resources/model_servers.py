"""The model servers of one folder: what each is started with, whether it is ready, and why it is not."""

import json
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from resources.envoy import HOST
from resources.protocols import Approver, LaunchRefused, Release, ResourceError, ServerStatus
from resources.proxy import get
from resources.pseudonyms import pseudonym_key
from resources.server_metrics import dropped_rows
from resources.serving_state import Launched, write_whole
from resources.supervisor import START_S, Process, Program, Supervisor

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
# Ended, or about to be tried again; while a version is being launched, one failure is enough.
_FAILED = {"BACKOFF", "EXITED", "FATAL", "STOPPED", "UNKNOWN"}


class ModelServers:
    """Starts nothing itself: it says what should run and asks how it is."""

    def __init__(
        self, folder: Path, supervisor: Supervisor, module: str, ready_s: float, keys: Path | None = None
    ) -> None:
        self._folder = folder
        self._keys = keys
        self._supervisor = supervisor
        self._module = module
        self._ready_s = ready_s

    def lay_out(self, server: Launched, release: Release, trusted_keys: Sequence[bytes]) -> None:
        """Copy what the server needs into the folder, whole or not at all; raises LaunchRefused.

        Links are copied as links, which the server then refuses: nothing outside the package is followed.
        """
        home = self._folder / self._place(server)
        scratch = home.with_name(f".{home.name}.new")
        try:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(mode=0o700, parents=True)
            shutil.copytree(release.package, scratch / "package", symlinks=True)
            shutil.copyfile(release.verdict, scratch / "verdict.json")
            if release.approval is not None:
                shutil.copyfile(release.approval, scratch / "approval.json")
            if release.override is not None:
                shutil.copyfile(release.override, scratch / "override.json")
            if release.approvers:
                (scratch / "approvers.json").write_text(_people(release.approvers))
            (scratch / "trusted.pem").write_bytes(_joined(trusted_keys))
            self._lay_out_log(server, release, scratch)
            shutil.rmtree(home, ignore_errors=True)
            scratch.rename(home)
        except (OSError, shutil.Error) as error:
            raise LaunchRefused(f"{server.name}: its files cannot be copied to {home}: {error}") from error

    def _lay_out_log(self, server: Launched, release: Release, scratch: Path) -> None:
        log = release.settings.log
        if log is None:
            return
        (scratch / "log.json").write_text(json.dumps(dict(log)))
        if log.get("hash") or "hash" in dict(log.get("personal", {})).values():
            if self._keys is None:
                raise LaunchRefused(
                    f"{server.name}: columns are to be hashed, and there is no folder of keys"
                )
            key = scratch / "log.key"
            key.touch(mode=0o600)
            key.write_bytes(pseudonym_key(self._keys))

    def trust(self, server: Launched, trusted_keys: Sequence[bytes]) -> None:
        """Give a running server's next start today's keys: one that is trusted no more ends its service."""
        write_whole(self._folder / self._place(server) / "trusted.pem", _joined(trusted_keys).decode())

    def discard(self, server: Launched) -> None:
        """Remove a stopped server's files."""
        shutil.rmtree(self._folder / self._place(server), ignore_errors=True)

    def program(self, server: Launched) -> Program:
        """How a server is started, with paths relative to the folder."""
        place = self._place(server)
        options = {
            "package": f"{place}/package",
            "verdict": f"{place}/verdict.json",
            "trusted-keys": f"{place}/trusted.pem",
            "model": server.model,
            "model-version": server.version,
            "digest": server.digest,
            "environment": server.environment,
            "launched-at": server.launched_at,
            "port": server.port,
            "hold-refusal": START_S + 1,
            "threads": server.threads,
            **({"approval": f"{place}/approval.json"} if server.approved else {}),
            **({"memory-mb": server.memory_bytes / 1e6} if server.memory_bytes else {}),
            **self._log_options(server, place),
            **{
                name: f"{place}/{name}.json"
                for name in ("override", "approvers")
                if (self._folder / place / f"{name}.json").is_file()
            },
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        # -P: the serving folder is the working directory and must not become a place to import from.
        return Program(server.name, [sys.executable, "-P", "-m", self._module, *flags])

    def _log_options(self, server: Launched, place: str) -> dict[str, str]:
        if not server.logs:
            return {}
        options = {"log": f"{place}/log.json", "log-folder": self.predictions(server)}
        if (self._folder / place / "log.key").is_file():
            options["log-key"] = f"{place}/log.key"
        return options

    def predictions(self, server: Launched) -> str:
        """Where a version's predictions are recorded; they outlive its server."""
        return f"predictions/{server.environment}/{server.model}/{server.version}"

    def _place(self, server: Launched) -> str:
        return f"servers/{server.environment}/{server.model}/{server.version}"

    # -- how it is ------------------------------------------------------------------------------------

    def is_ready(self, server: Launched) -> bool:
        """Whether it answers, as this version of this model."""
        path = f"/v2/models/{server.model}/versions/{server.version}/ready"
        try:
            return get(server.port, path, timeout_s=1.0)[0] == 200
        except OSError:
            return False

    def await_ready(self, server: Launched) -> None:
        """Wait for a server that was just started; raises LaunchRefused with its own last words."""
        deadline = time.monotonic() + self._ready_s
        while time.monotonic() < deadline:
            lines = self._supervisor.last_lines(server.name)
            refusal = next((line for line in lines if line.startswith("refused: ")), None)
            process = self._supervisor.processes().get(server.name)
            if refusal or process is None or process.state in _FAILED:
                raise LaunchRefused(f"{server.name}: {refusal or self._last_words(server)}")
            # Its own word as well: a stranger could answer on the port while ours is still loading.
            if any(line.startswith("ready: ") for line in lines) and self.is_ready(server):
                return
            time.sleep(0.02)
        raise LaunchRefused(
            f"{server.name}: not ready within {self._ready_s:g} s: {self._last_words(server)}"
        )

    def await_settled(self, servers: Sequence[Launched]) -> None:
        """Wait until each is ready or has failed, or patience ends."""
        deadline = time.monotonic() + self._ready_s
        waiting = list(servers)
        while waiting and time.monotonic() < deadline:
            known = self._supervisor.processes()
            waiting = [server for server in waiting if self.status(server, 0, known).state == "starting"]
            time.sleep(0.05)

    def status(self, server: Launched, weight: int, known: Mapping[str, Process]) -> ServerStatus:
        """As people and the pipeline see it."""
        process = known.get(server.name)
        state: str = "stopped"
        if process is not None and process.state not in {"STOPPED", "STOPPING"}:
            refused = self._last_words(server).startswith("refused: ")
            failed = process.state in {"FATAL", "EXITED", "UNKNOWN"} or refused
            state = "failed" if failed else "ready" if self.is_ready(server) else "starting"
        return ServerStatus(
            model=server.model,
            version=server.version,
            environment=server.environment,
            digest=server.digest,
            state=state,  # type: ignore[arg-type]
            address=f"http://{HOST}:{server.port}",
            pid=process.pid if process else None,
            weight=weight,
            error=self._last_words(server) if state == "failed" else "",
        )

    def unrecorded(self, server: Launched) -> str:
        """How many of its predictions a running server could not record, and why; empty for none."""
        if not server.logs:
            return ""
        try:
            dropped = dropped_rows(get(server.port, "/metrics", timeout_s=1.0)[1])
        except (OSError, ValueError):
            return ""  # it does not answer, which its state says already
        return ", ".join(f"{rows} rows {reason}" for reason, rows in dropped.items())

    def _last_words(self, server: Launched) -> str:
        lines = self._supervisor.last_lines(server.name)
        return lines[-1] if lines else f"it left no message in {self._supervisor.log(server.name)}"


def _joined(keys: Sequence[bytes]) -> bytes:
    return b"\n".join(key.strip() for key in keys) + b"\n"


def _people(approvers: Sequence[Approver]) -> str:
    return json.dumps(
        [{"name": one.name, "key": one.key.decode(), "teams": list(one.teams)} for one in approvers]
    )


def check_name(release: Release) -> None:
    """Refuse names that are no names: they become paths; raises ResourceError."""
    if not _NAME.match(release.model) or release.version < 1:
        raise ResourceError(f"{release.model!r} version {release.version} is no version of a model")
