"""Who is told by which channel, and what is said of settings that cannot be used."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from resources.alert_channels import FileChannel, SmtpChannel, WebhookChannel
from resources.alert_settings import FileNotifier, read_settings
from resources.protocols import Alert, ResourceError

ALERT = Alert("gates/returns", "roc_auc", "warning", "it failed", "model:returns", "team:risk")
WHOLE = """
channels:
  chat: {kind: slack, url: "env:RISK_WEBHOOK"}
  mail: {kind: smtp, host: smtp.example.org, sender: a@example.org, to: [b@example.org],
         user: "env:U", password: "file:/run/secrets/p"}
  trail: {kind: file, path: alerts/alerts.jsonl}
routes:
  - {owner: "team:risk", severity: warning, to: [chat]}
  - {subject: "dataset:*", to: [mail]}
  - {to: [trail]}
on_call: [mail]
cool_down: 10m
escalate_after: {critical: 5m}
"""


@pytest.fixture
def notifier(tmp_path: Path) -> FileNotifier:
    (tmp_path / "alerts.yaml").write_text(WHOLE)
    return FileNotifier(tmp_path / "project", tmp_path, {"RISK_WEBHOOK": "https://example.org/x"})


def test_every_route_that_fits_counts(notifier: FileNotifier) -> None:
    assert list(notifier.channels(ALERT, "owner")) == ["chat", "trail"]
    assert list(notifier.channels(replace(ALERT, severity="info"), "owner")) == ["trail"]
    assert list(notifier.channels(replace(ALERT, subject="dataset:sales", owner=""), "owner")) == [
        "mail",
        "trail",
    ]
    assert list(notifier.channels(ALERT, "on-call")) == ["mail"]
    assert [type(one) for one in notifier.every().values()] == [WebhookChannel, SmtpChannel, FileChannel]


def test_patience_is_declared(notifier: FileNotifier) -> None:
    policy = notifier.policy()

    assert policy.cool_down == timedelta(minutes=10)
    assert policy.escalate_after == {"critical": timedelta(minutes=5)}


def test_without_a_file_log_and_file_or_the_webhook_of_the_environment(tmp_path: Path) -> None:
    bare = FileNotifier(tmp_path, tmp_path, {})
    assert list(bare.channels(ALERT, "owner")) == ["log", "file"]

    hooked = FileNotifier(tmp_path, tmp_path, {"MLCICD_ALERTS_WEBHOOK_URL": "https://example.org/x"})
    assert list(hooked.channels(ALERT, "owner")) == ["webhook", "log", "file"]
    assert list(hooked.channels(replace(ALERT, severity="info"), "owner")) == ["log", "file"]
    assert list(hooked.channels(ALERT, "on-call")) == ["webhook"]


def test_a_named_file_that_is_missing_is_an_error_and_recording_goes_on(tmp_path: Path) -> None:
    lost = FileNotifier(tmp_path, tmp_path, {"MLCICD_ALERTS_CONFIG": str(tmp_path / "nowhere.yaml")})

    with pytest.raises(ResourceError, match="correct MLCICD_ALERTS_CONFIG"):
        lost.channels(ALERT, "owner")
    assert lost.policy().cool_down == timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels: {chat: {kind: slack, url: https://hook/s3cr3t}}", "give 'env:NAME' or 'file:PATH'"),
        ("channels: {chat: {kind: pigeon}}", "channels.chat"),
        ("routes: [{to: [chat]}]", "no such channel: chat; declared are: none"),
        ("cool_down: soon", "cool_down: a time reads like 30s, 10m, 6h or 2d"),
        ("colour: red", "colour"),
        ("escalate_after: {urgent: 5m}", "escalate_after.urgent"),
        ("channels: [", "not YAML"),
        (
            "channels: {m: {kind: smtp, host: h, sender: a@b, to: [c@d], user: 'env:U'}}",
            "user and password come together",
        ),
        (
            "channels: {m: {kind: smtp, host: h, sender: a@b, to: [c@d], user: 'env:U', password: 'env:P', "
            "security: none}}",
            "a password needs an encrypted line",
        ),
    ],
)
def test_settings_that_cannot_be_used_are_named_but_never_their_values(
    tmp_path: Path, text: str, said: str
) -> None:
    place = tmp_path / "alerts.yaml"
    place.write_text(text)

    with pytest.raises(ResourceError) as error:
        read_settings(place)

    assert said in str(error.value)
    assert str(place) in str(error.value)
    assert "s3cr3t" not in str(error.value)
