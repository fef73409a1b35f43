"""The channels against real servers on the loopback."""

import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resources.alert_channels import FileChannel, LogChannel, SmtpChannel, WebhookChannel
from resources.alert_message import ChannelError, Message
from resources.protocols import Alert, StandingAlert
from resources.secrets import Secret

ALERT = Alert(
    cause="gates/returns",
    state="roc_auc",
    severity="critical",
    title="returns failed a blocking check: roc_auc",
    subject="model:returns",
    owner="team:risk",
    evidence={"roc_auc": "0.61 is not >= 0.7", "nothing": None},
    command="mlcicd status returns",
)
MESSAGE = Message("raised", "owner", StandingAlert(ALERT, "2026-11-24T12:00:00+00:00", "", 26_000))


@dataclass
class Hook:
    """A webhook that answers with the statuses given, then 200, and keeps what it got."""

    answers: list[int] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def channel(self, path: str = "/services/secret") -> WebhookChannel:
        return WebhookChannel(Secret("env:HOOK", {"HOOK": self.url + path}), 2.0, sleep=lambda _: None)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.got.append({"path": self.path, **json.loads(body)})
            self.send_response(made.answers.pop(0) if made.answers else 200)
            self.send_header("location", f"{made.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_message_says_what_since_when_the_evidence_and_the_command(hook: Hook) -> None:
    hook.channel().send(MESSAGE)

    (got,) = hook.got
    lines = got["text"].splitlines()
    assert lines[0] == "*CRITICAL: returns failed a blocking check: roc_auc*"
    assert "about model:returns, owner team:risk" in lines
    assert "since 2026-11-24T12:00:00 UTC, seen 26000 times" in lines
    assert "roc_auc: 0.61 is not >= 0.7" in lines
    assert "run: mlcicd status returns" in lines
    assert "take care of it: mlcicd alerts ack gates/returns --by NAME" in lines


def test_what_is_only_for_information_asks_nobody_to_take_care() -> None:
    alert = replace(MESSAGE.standing.alert, severity="info")

    lines = replace(MESSAGE, standing=replace(MESSAGE.standing, alert=alert)).lines()

    assert not any("mlcicd alerts ack" in line for line in lines)


def test_a_webhook_is_tried_again_where_that_may_help(hook: Hook) -> None:
    hook.answers = [503, 429]

    hook.channel().send(MESSAGE)

    assert len(hook.got) == 3


@pytest.mark.parametrize(
    ("answers", "tries", "why"),
    [([500] * 5, 3, "answers 500"), ([404], 1, "answers 404"), ([307], 1, "redirects")],
)
def test_a_webhook_that_refuses_is_an_error_without_its_address(
    hook: Hook, answers: list[int], tries: int, why: str
) -> None:
    hook.answers = answers

    with pytest.raises(ChannelError, match=why) as error:
        hook.channel().send(MESSAGE)

    assert len(hook.got) == tries  # a redirect is not followed
    assert "secret" not in str(error.value)


def test_a_webhook_that_is_not_there_or_no_url(hook: Hook) -> None:
    with pytest.raises(ChannelError, match="does not answer"):
        WebhookChannel(Secret("env:HOOK", {"HOOK": "http://127.0.0.1:1/x"}), 1.0, lambda _: None).send(
            MESSAGE
        )
    with pytest.raises(ChannelError, match="set the environment variable HOOK"):
        WebhookChannel(Secret("env:HOOK", {})).send(MESSAGE)
    with pytest.raises(ChannelError):
        WebhookChannel(Secret("env:HOOK", {"HOOK": "no-url"}), 1.0, lambda _: None).send(MESSAGE)


def test_a_file_gets_one_json_object_a_line(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "alerts" / "alerts.jsonl")

    channel.send(MESSAGE)
    channel.send(MESSAGE)

    first, _ = (json.loads(line) for line in channel.path.read_text().splitlines())
    assert first["cause"] == "gates/returns"
    assert first["count"] == 26_000
    assert first["evidence"] == {"roc_auc": "0.61 is not >= 0.7", "nothing": None}
    with pytest.raises(ChannelError, match="cannot be written"):
        FileChannel(channel.path / "below").send(MESSAGE)


def test_the_log_has_the_severity_s_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    LogChannel().send(MESSAGE)

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("mlcicd.alerts", logging.ERROR)
    assert "run: mlcicd status returns" in record.getMessage()


# -- mail ---------------------------------------------------------------------------------------------------


@dataclass
class Post:
    """A mail server that asks for STARTTLS and a password."""

    port: int
    trusted: ssl.SSLContext
    mails: list[Any]

    def channel(self, password: str = "right-password", **more: Any) -> SmtpChannel:  # noqa: S107
        environment = {"SMTP_USER": "mlcicd", "SMTP_PASSWORD": password}
        user, secret = Secret("env:SMTP_USER", environment), Secret("env:SMTP_PASSWORD", environment)
        settings = {"context": self.trusted, "user": user, "password": secret, "timeout_s": 3.0, **more}
        return SmtpChannel("localhost", self.port, "mlcicd@example.org", ["oncall@example.org"], **settings)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 OK"


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and data.password == b"right-password"
    return AuthResult(success=right, handled=False)


@pytest.fixture
def post(certificate: tuple[Path, Path]) -> Iterator[Post]:
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(*certificate)
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:  # aiosmtpd must know it beforehand
        port = free.getsockname()[1]
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=served,
        require_starttls=True,
        authenticator=authenticate,
        auth_required=True,
    )
    controller.start()
    yield Post(port, ssl.create_default_context(cafile=str(certificate[0])), box.mails)
    controller.stop()


def test_mail_goes_out_encrypted_and_authenticated(post: Post) -> None:
    post.channel().send(MESSAGE)

    (envelope,) = post.mails
    assert envelope.rcpt_tos == ["oncall@example.org"]
    text = envelope.content.decode()
    assert "Subject: CRITICAL: returns failed a blocking check: roc_auc" in text
    assert "run: mlcicd status returns" in text


def test_mail_that_is_refused_says_so_without_the_password(post: Post) -> None:
    with pytest.raises(ChannelError, match=r"refused \(535\)") as error:
        post.channel(password="wrong-password").send(MESSAGE)
    assert "wrong-password" not in str(error.value)
    assert post.mails == []


def test_a_certificate_that_nobody_vouches_for_ends_before_the_password(post: Post) -> None:
    with pytest.raises(ChannelError, match="SSLCertVerificationError"):
        post.channel(context=ssl.create_default_context()).send(MESSAGE)
    assert post.mails == []


def test_a_mail_server_that_is_not_there() -> None:
    with pytest.raises(ChannelError, match="ConnectionRefusedError"):
        SmtpChannel("127.0.0.1", 1, "a@example.org", ["b@example.org"], timeout_s=1.0).send(MESSAGE)
