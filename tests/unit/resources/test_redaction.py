"""What counts as a secret, and what stays readable."""

import io
import json
import logging
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resources import redaction
from resources.mlflow_redaction import refuse_secrets, without_secrets
from resources.protocols import ResourceError
from resources.redaction import environment_secrets, know, redact, redact_page, redact_value
from resources.redaction_guard import RedactedRecord, RedactingStream
from resources.secrets import Secret, is_reference


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test calls a secret must not be masked in another."""
    monkeypatch.setattr(redaction, "_read", set())


PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIFakefakefake\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://ada:hunter2@db/x failed", "postgresql://***@db/x failed"),
        ("git clone https://oauth2token@github.com/a/b", "git clone https://***@github.com/a/b"),
        ("Authorization: Bearer abcdef123456789", "Authorization: Bearer ***"),
        ('{"authorization": "Basic dXNlcjpwYXNz"}', '{"authorization": "Basic ***"}'),
        ("key AKIAABCDEFGHIJKLMNOP used", "key *** used"),
        ("POST https://hooks.slack.com/services/T0/B0/abc", "POST https://hooks.slack.com/***"),
        ("token=ghp_abcdefghijklmnopqrstuvwx", "token=***"),
        ("password: s3cr3tt; host: db", "password: ***; host: db"),
        (f"read {PEM} there", "read *** there"),
        (f"read {json.dumps(PEM)}", 'read "***"'),
    ],
)
def test_patterns_that_tell_a_secret(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "roc_auc 0.61 is not >= 0.70",
        "the password is missing: set the variable",
        "see https://example.org/a?b=c#d and mail ada@example.org",
        "sha256:3f6c0d7e, run 8f14e45f-ceea-467f-a5b0-c0ffee000000",
        "token: none",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_page_s_programs_stay_as_they_are() -> None:
    program = "<script>var token=settings.tokenizer;password:document.forms</script>"

    assert redact_page(program) == program


def test_secrets_of_the_environment_by_name_and_by_form() -> None:
    found = environment_secrets(
        {
            "DB_PASSWORD": "hunter22hunter",
            "WAREHOUSE_URL": "postgresql://u:p%40ssw0rdlong@h/d",
            "TOKEN_FILE": "/run/secrets/token",
            "MAX_TOKENS": "200000000",
            "POSTGRES_PASSWORD": "postgres",
            "HOME": "/home/somebody",
            "PWD": "/srv/pipeline",
        }
    )

    assert found == {"hunter22hunter", "p%40ssw0rdlong", "p@ssw0rdlong"}


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=8))
def test_a_known_secret_is_found_however_it_is_written(secret: str) -> None:
    assume(secret.lower() not in redaction._WORDS and "*" not in secret)
    redaction._read.clear()
    know(secret)

    for written in (secret, json.dumps({"a": secret}), repr([secret]), json.dumps(json.dumps([secret]))):
        assert secret not in redact(f"before {written} after")
    assert redact_value({"a": [secret, 1, None], secret: ()}) == {"a": ["***", 1, None], secret: ()}


def test_logs_are_redacted_with_their_exceptions() -> None:
    know("canary-of-the-log")
    record = RedactedRecord("a", logging.ERROR, "p", 1, "using %s", ("canary-of-the-log",), None)
    try:
        int("canary-of-the-log")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)

    text = logging.Formatter("%(message)s").format(record)

    assert text.startswith("using ***")
    assert "ValueError" in text
    assert "canary" not in text


def test_a_stream_redacts_secrets_that_come_in_pieces() -> None:
    know("canary-of-the-stream")
    out = io.StringIO()
    stream = RedactingStream(out)

    stream.write("using canary-of-")
    stream.write("the-stream now\nand ")
    for line in PEM.splitlines():
        stream.write(line + "\n")
    stream.write("done")
    stream.flush()

    assert out.getvalue() == "using *** now\nand ***\n***\n***\ndone"


def test_an_error_of_a_resource_holds_no_password() -> None:
    assert str(ResourceError("postgresql://a:bcdefgh@h/d refused")) == "postgresql://***@h/d refused"


def test_the_code_location_guards_what_dagster_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._utils.error import serializable_error_info_from_exc_info

    import definitions

    monkeypatch.setenv("SOME_TOKEN", "canary-of-dagster")
    definitions.defs()
    try:
        int("canary-of-dagster")
    except ValueError as error:
        info = serializable_error_info_from_exc_info((type(error), error, error.__traceback__))

    assert "canary" not in info.to_string()

    @dg.asset
    def _leaks(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log.info("canary-of-dagster")
        return dg.MaterializeResult(metadata={"a": "canary-of-dagster", "step_key": "kept"})

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([_leaks], instance=instance)
        kept = str(instance.all_logs(result.run_id))
    assert result.success
    assert "canary" not in kept
    assert "***" in kept


def test_a_package_with_a_secret_is_refused_and_other_texts_are_cleaned(tmp_path: Path) -> None:
    know("canary-of-the-package")
    package = tmp_path / "package"
    package.mkdir()
    (package / "features.py").write_text("URL = 'canary-of-the-package'")
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.txt").write_text("canary-of-the-package")
    (notes / "b.bin").write_bytes(b"\0canary-of-the-package")

    with pytest.raises(ResourceError, match=r"features\.py of the package holds a secret"):
        refuse_secrets(package)
    with without_secrets(notes, "") as clean:
        assert (clean / "a.txt").read_text() == "***"
        assert clean.name == "notes"
    assert (notes / "a.txt").read_text() == "canary-of-the-package"
    with without_secrets(notes / "b.bin", "") as same:
        assert same == notes / "b.bin"


def test_a_secret_is_read_when_it_is_used_and_never_printed(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("canary-in-a-file\n")
    secret = Secret(f"file:{tmp_path / 'password'}")

    assert secret.reveal() == "canary-in-a-file"
    assert "canary" not in f"{secret!r} {secret}"
    assert redact("canary-in-a-file") == "***"
    with pytest.raises(ResourceError, match="set the environment variable NOWHERE"):
        Secret("env:NOWHERE", {}).reveal()
    with pytest.raises(ResourceError, match="cannot be read"):
        Secret("file:/nowhere/at/all").reveal()
    assert not is_reference("hunter22")
