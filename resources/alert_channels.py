"""Ways to people: the process's log, a file of JSON lines, a Slack-compatible webhook, mail."""

import json
import logging
import os
import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from resources.alert_message import ChannelError, Message
from resources.protocols import ResourceError
from resources.secrets import Secret

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_TIMEOUT_S = 5.0
_WAITS_S = (0.2, 0.6)  # between the attempts of one sending; the store tries again later
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class LogChannel:
    """Python's log of this process: `mlcicd.alerts`."""

    def send(self, message: Message) -> None:
        """Log it; never fails."""
        alert = message.standing.alert
        level = logging.INFO if message.standing.resolved_at else _LEVELS[alert.severity]
        logging.getLogger("mlcicd.alerts").log(level, "%s; %s", message.head, "; ".join(message.lines()))


@dataclass(frozen=True)
class FileChannel:
    """One JSON object a line, for log shippers and for people without anything else."""

    path: Path

    def send(self, message: Message) -> None:
        """Append a line, whole even where several processes write."""
        line = json.dumps(message.record(), ensure_ascii=False, default=str) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            place = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(place, line.encode())
            finally:
                os.close(place)
        except OSError as error:
            raise ChannelError(
                f"{self.path} cannot be written ({error.strerror}): make it writable"
            ) from error


@dataclass(frozen=True)
class WebhookChannel:
    """A webhook that takes Slack's format: Slack, Mattermost, Rocket.Chat, Teams by a connector."""

    url: Secret
    timeout_s: float = _TIMEOUT_S
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def send(self, message: Message) -> None:
        """POST it; tried three times where trying again may help. Redirects are not followed."""
        import httpx

        url = _revealed(self.url)
        body = {"text": "\n".join([f"*{message.head}*", *message.lines()])}
        for wait in (*_WAITS_S, None):
            try:
                answer = httpx.post(url, json=body, timeout=self.timeout_s, follow_redirects=False)
            except httpx.InvalidURL:
                raise ChannelError(f"the webhook in {self.url} is no URL") from None
            except httpx.HTTPError as error:
                problem, again = f"the webhook does not answer ({type(error).__name__})", True
            else:
                if answer.is_success:
                    return
                problem, again = _refusal(answer.status_code), answer.status_code in _TRANSIENT
            if wait is None or not again:
                raise ChannelError(problem)
            self.sleep(wait)


@dataclass(frozen=True)
class SmtpChannel:
    """Mail; encrypted (STARTTLS, or TLS from the start on port 465) unless `security` is none."""

    host: str
    port: int
    sender: str
    to: Sequence[str]
    security: str = "starttls"  # starttls | tls | none
    user: Secret | None = None
    password: Secret | None = None
    timeout_s: float = _TIMEOUT_S
    context: ssl.SSLContext | None = field(default=None, repr=False)

    def send(self, message: Message) -> None:
        """Send one mail to all receivers; a password never crosses an unencrypted line."""
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = message.head[:200], self.sender, ", ".join(self.to)
        mail.set_content("\n".join([message.head, "", *message.lines()]))
        user, password = (_revealed(one) if one else "" for one in (self.user, self.password))
        try:
            with self._connected() as server:
                if user:
                    server.login(user, password)
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            raise ChannelError(f"{self.host}:{self.port} refused ({error.smtp_code})") from None
        except (OSError, smtplib.SMTPException) as error:
            raise ChannelError(f"{self.host}:{self.port} failed ({type(error).__name__})") from None
        if refused:
            raise ChannelError(f"{self.host}:{self.port} refused {', '.join(refused)}")

    def _connected(self) -> smtplib.SMTP:
        context = self.context or ssl.create_default_context()
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        if self.security == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server


def _refusal(status: int) -> str:
    if status // 100 == 3:
        return f"the webhook redirects ({status}): give the address that answers itself"
    return f"the webhook answers {status}"


def _revealed(secret: Secret) -> str:
    try:
        return secret.reveal()
    except ResourceError as error:
        raise ChannelError(str(error)) from None
