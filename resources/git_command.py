"""The system's git as a process that asks nobody, runs no hook, and speaks only the protocols it should."""

import base64
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from resources.protocols import ResourceError

_PROTOCOLS = "file:https:http:ssh:git"  # not ext::, which runs whatever it names
_SECONDS = 60
_OF_THE_MACHINE = (
    *("GIT_SSL_", "GIT_PROXY_", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES"),
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"),
)
# Nothing that a repository's own configuration could make run.
_SAFE = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "fetch.recurseSubmodules=false"),
    *("-c", "gc.autoDetach=false"),
    *("-c", "core.quotePath=false"),
)


@dataclass(frozen=True)
class Credential:
    """What proves who asks, for addresses that begin with https://."""

    user: str
    token: str = field(repr=False)

    @property
    def header(self) -> str:
        """As HTTP takes it."""
        return f"Authorization: Basic {base64.b64encode(f'{self.user}:{self.token}'.encode()).decode()}"

    def hidden(self, text: str) -> str:
        """A text without the token, however it is written."""
        encoded = self.header.rpartition(" ")[2]
        for secret in sorted({self.token, quote(self.token, safe=""), encoded}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text


@dataclass(frozen=True)
class GitCommand:
    """Runs git in a folder; the credential travels in the environment, where no process list shows it."""

    folder: Path
    address: str = ""  # of the remote repository, for which the credential is
    credential: Credential | None = None
    seconds: float = _SECONDS

    def run(self, *arguments: str) -> str:
        """The output; raises ResourceError, without the credential, where git ends otherwise than well."""
        done = self.attempt(*arguments)
        if done.returncode:
            raise ResourceError(self.told(arguments[0], done.stderr or f"exit {done.returncode}"))
        return done.stdout

    def attempt(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What came of it; raises ResourceError where git does not answer in time or is not installed."""
        try:
            return subprocess.run(
                ["git", *_SAFE, "-C", str(self.folder), *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.seconds,
                check=False,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired:
            told = f"no answer in {self.seconds:g} s: see that it can be reached"
            raise ResourceError(self.told(arguments[0], told)) from None
        except FileNotFoundError:
            raise ResourceError("git is not installed: apt-get install -y git") from None

    def told(self, command: str, said: str) -> str:
        """Why a command failed, by what git said of it, without the credential."""
        place = self.address or str(self.folder)
        if "dubious ownership" in said:
            remedy = f"git config --global --add safe.directory {place}"
            return f"git refuses {place}, which belongs to another user. If you trust it, run: {remedy}"
        told = f"git {command} of {place} failed: {_reason(said)}"
        return self.credential.hidden(told) if self.credential else told

    def _environment(self) -> dict[str, str]:
        """No prompt, English messages; a hook's or a caller's own GIT_… is not meant for us."""
        inherited = {key: value for key, value in os.environ.items() if not _foreign(key)}
        return {
            **inherited,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
            "GCM_INTERACTIVE": "never",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
            "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=10"),
            **self._authorization(),
        }

    def _authorization(self) -> Mapping[str, str]:
        if self.credential is None:
            return {}
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.address}.extraHeader",
            "GIT_CONFIG_VALUE_0": self.credential.header,
        }


def _foreign(name: str) -> bool:
    """Of git itself; how to reach the network and what to trust stays as the machine has it."""
    return name.startswith("GIT_") and not name.startswith(_OF_THE_MACHINE)


def _reason(said: str) -> str:
    """The line that says it: git's own, before a remote's chatter."""
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (fatal or lines or ["no reason given"])[0]
