"""Who is told by which channel: `alerts.yaml` of the project or the home, or nothing but the environment."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from resources.alert import Alert, Severity
from resources.alert_channels import FileChannel, LogChannel, SmtpChannel, WebhookChannel
from resources.alert_message import Channel
from resources.alert_policy import ON_CALL, AlertPolicy, rank
from resources.protocols import ResourceError
from resources.secrets import Secret, is_reference

FILE = "alerts.yaml"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CONFIG, _WEBHOOK = "MLCICD_ALERTS_CONFIG", "MLCICD_ALERTS_WEBHOOK_URL"


def _reference(text: str) -> str:
    if not is_reference(text):
        raise ValueError("a secret is not written here: give 'env:NAME' or 'file:PATH'")
    return text


def _span(text: str) -> str:
    if re.fullmatch(r"[1-9]\d*[smhd]", text) is None:
        raise ValueError("a time reads like 30s, 10m, 6h or 2d")
    return text


Reference = Annotated[str, AfterValidator(_reference)]
Span = Annotated[str, AfterValidator(_span)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Log(_Closed):
    """The log of the process that sends."""

    kind: Literal["log"]

    def channel(self, _home: Path, _environment: Mapping[str, str]) -> Channel:
        """The channel that this declares."""
        return LogChannel()


class File(_Closed):
    """A file of JSON lines."""

    kind: Literal["file"]
    path: str = Field(default="alerts/alerts.jsonl", min_length=1, description="Below the home.")

    def channel(self, home: Path, _environment: Mapping[str, str]) -> Channel:
        """The channel that this declares."""
        return FileChannel(home / Path(self.path).expanduser())


class Webhook(_Closed):
    """A webhook that takes Slack's format; the URL is a secret."""

    kind: Literal["slack"]
    url: Reference

    def channel(self, _home: Path, environment: Mapping[str, str]) -> Channel:
        """The channel that this declares."""
        return WebhookChannel(Secret(self.url, environment))


class Smtp(_Closed):
    """Mail."""

    kind: Literal["smtp"]
    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    sender: str = Field(min_length=3)
    to: list[str] = Field(min_length=1)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Reference | None = None
    password: Reference | None = None

    @model_validator(mode="after")
    def _safe(self) -> "Smtp":
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password come together")
        if self.user and self.security == "none":
            raise ValueError("a password needs an encrypted line: 'security: starttls' or tls")
        return self

    def channel(self, _home: Path, environment: Mapping[str, str]) -> Channel:
        """The channel that this declares."""
        user, password = (Secret(one, environment) if one else None for one in (self.user, self.password))
        return SmtpChannel(self.host, self.port, self.sender, self.to, self.security, user, password)


class Route(_Closed):
    """Which alerts go to which channels."""

    to: list[str] = Field(min_length=1)
    owner: str = Field(default="*", description="'team:risk'; * as a wildcard.")
    subject: str = Field(default="*", description="'model:fraud_detector', 'dataset:*'.")
    severity: Severity = Field(default="info", description="This one and worse.")

    def takes(self, alert: Alert) -> bool:
        """Whether an alert goes this way."""
        return (
            fnmatchcase(alert.owner or "", self.owner)
            and fnmatchcase(alert.subject, self.subject)
            and rank(alert.severity) >= rank(self.severity)
        )


class AlertSettings(_Closed):
    """The whole file; every route that fits an alert counts."""

    channels: dict[str, Annotated[Log | File | Webhook | Smtp, Field(discriminator="kind")]] = Field(
        default_factory=dict
    )
    routes: list[Route] = Field(default_factory=list)
    on_call: list[str] = Field(default_factory=list, description="Channels for what nobody acknowledged.")
    cool_down: Span = "1h"
    escalate_after: dict[Severity, Span] = {"critical": "30m", "warning": "24h"}

    @model_validator(mode="after")
    def _known(self) -> "AlertSettings":
        named = [*self.on_call, *(name for route in self.routes for name in route.to)]
        unknown = sorted(set(named) - set(self.channels))
        if unknown:
            known = ", ".join(sorted(self.channels)) or "none"
            raise ValueError(f"no such channel: {', '.join(unknown)}; declared are: {known}")
        return self

    def policy(self) -> AlertPolicy:
        """The patience that is declared."""
        escalate = {severity: span(text) for severity, text in self.escalate_after.items()}
        return AlertPolicy(cool_down=span(self.cool_down), escalate_after=escalate)

    def names(self, alert: Alert, audience: str) -> list[str]:
        """The channels by name; on-call hears by its own, or else as the owner does."""
        if audience == ON_CALL and self.on_call:
            return list(dict.fromkeys(self.on_call))
        return list(dict.fromkeys(name for route in self.routes if route.takes(alert) for name in route.to))


def span(text: str) -> timedelta:
    """'30m' as a time."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


class FileNotifier:
    """Implements `Notifier`: the file that is there now, or the environment alone, or log and file."""

    def __init__(self, project: Path, home: Path, environment: Mapping[str, str]) -> None:
        self._given = environment.get(_CONFIG, "")
        self._places = [Path(self._given).expanduser()] if self._given else [home / FILE, project / FILE]
        self._home = home
        self._environment = environment

    def policy(self) -> AlertPolicy:
        """What is declared; the defaults where it cannot be read, since recording must not fail for that."""
        try:
            return self.settings().policy()
        except ResourceError:
            return AlertPolicy()

    def channels(self, alert: Alert, audience: str) -> dict[str, Channel]:
        """The channels that an alert goes to; log and file where no route takes it. Raises ResourceError."""
        settings = self.settings()
        names = settings.names(alert, audience)
        return self._made(settings, names) if names else self._default()

    def every(self) -> dict[str, Channel]:
        """All channels that are declared; log and file where none is. Raises ResourceError."""
        settings = self.settings()
        return self._made(settings, settings.channels) or self._default()

    def settings(self) -> AlertSettings:
        """The declared settings; raises ResourceError naming file and field, never a value."""
        for place in self._places:
            if place.is_file():
                return read_settings(place)
        if self._given:
            raise ResourceError(f"{self._given} does not exist: write it, or correct {_CONFIG}")
        if self._environment.get(_WEBHOOK):
            return AlertSettings.model_validate(_WEBHOOK_ALONE)
        return AlertSettings()

    def _made(self, settings: AlertSettings, names: Iterable[str]) -> dict[str, Channel]:
        return {name: settings.channels[name].channel(self._home, self._environment) for name in names}

    def _default(self) -> dict[str, Channel]:
        return {"log": LogChannel(), "file": File(kind="file").channel(self._home, self._environment)}


_WEBHOOK_ALONE: dict[str, Any] = {
    "channels": {
        "webhook": {"kind": "slack", "url": f"env:{_WEBHOOK}"},
        "log": {"kind": "log"},
        "file": {"kind": "file"},
    },
    "routes": [{"severity": "warning", "to": ["webhook"]}, {"to": ["log", "file"]}],
    "on_call": ["webhook"],
}


def read_settings(path: Path) -> AlertSettings:
    """Read an alerts.yaml; raises ResourceError."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ResourceError(f"{path} cannot be read: {type(error).__name__}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ResourceError(f"{path}{where}: not YAML") from None  # its text may hold a secret
    try:
        return AlertSettings.model_validate(found or {})
    except ValidationError as error:
        told = "; ".join(_plain(dict(problem)) for problem in error.errors(include_input=False))
        raise ResourceError(f"{path}: {told}") from None


def _plain(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the file"
    return f"{where}: {str(problem['msg']).removeprefix('Value error, ')}"
