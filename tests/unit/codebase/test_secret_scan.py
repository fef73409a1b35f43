"""Planted secrets are found, and never repeated."""

import json

import pytest

from mlcicd_assets.codebase.secret_scan import CHECK, baseline_of, check_secrets

# Put together here, so that this file holds none.
AWS = "AKIA" + "IOSFODNN7" + "EXAMPLE"
KEY = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\n-----END RSA " + "PRIVATE KEY-----\n"
PASSWORD = "tr0ub4dor" + "3horse"


@pytest.mark.parametrize(
    ("name", "text", "kind", "line", "secret"),
    [
        ("shop/upload.py", f"import os\n\nkey = '{AWS}'\n", "AWS Access Key", 3, AWS),
        ("deploy/id_rsa", KEY, "Private Key", 1, "MIIEowIBAAKCAQEA7"),
        ("shop/db.py", f'password = "{PASSWORD}"\n', "Secret Keyword", 1, PASSWORD),
        ("settings.yaml", f"url: postgres://app:{PASSWORD}@db/shop\n", "Basic Auth Credentials", 1, PASSWORD),
    ],
)
def test_a_planted_secret_is_found_and_not_repeated(code, name, text, kind, line, secret):
    code.write(name, text)
    result = check_secrets(code.project())
    assert not result.passed
    assert (name, line, kind) in [(one.file, one.line, one.rule) for one in result.findings]
    assert secret not in result.text()
    assert secret not in result.summary()


def test_clean_code_passes(code):
    assert check_secrets(code.project()).passed


def test_an_allowed_line_and_the_baseline_are_known(code):
    code.write("shop/upload.py", f"key = '{AWS}'  # pragma: allowlist secret\n")
    assert check_secrets(code.project()).passed
    code.write("shop/other.py", f"key = '{AWS}'\n")
    project = code.project()
    assert not check_secrets(project).passed

    text = json.dumps(baseline_of(code.root, sorted(project.files), {}))
    assert AWS not in text
    code.write(".secrets.baseline", text)
    result = check_secrets(code.project())
    assert result.passed
    assert "1 known finding" in result.looked_at

    code.write("shop/third.py", f"key = '{AWS}'\n")  # known elsewhere only
    assert [one.file for one in check_secrets(code.project()).findings] == ["shop/third.py"]


def test_what_was_clean_is_not_read_again_and_what_changed_is(code):
    first = check_secrets(code.project())
    again = code.project(memory={CHECK: first.memory})
    assert len(first.memory["clean"]) == len(again.files)
    code.write("shop/upload.py", f"key = '{AWS}'\n")
    assert not check_secrets(code.project(memory={CHECK: first.memory})).passed


def test_a_damaged_baseline_blocks(code):
    code.write(".secrets.baseline", "{")
    assert "is not JSON" in check_secrets(code.project()).summary()
