"""`mlcicd hooks`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlcicd_assets.cli.app import app
from mlcicd_assets.cli.hooks import hook_secrets
from mlcicd_assets.cli.session import Session
from resources.protocols import ResourceError
from tests.fakes.inbox import MemoryInbox

LONG, LONGER = "0123456789abcdef", "0123456789abcdef-and-more"


@pytest.mark.parametrize("environment", [{}, {"MLCICD_HOOK_SECRET": " "}, {"MLCICD_HOOK_SECRET": "short"}])
def test_without_a_strong_secret_nothing_listens(environment: dict[str, str], tmp_path: Path) -> None:
    session = Session({**environment, "MLCICD_HOME": str(tmp_path)}, resources={"inbox": MemoryInbox()})

    done = CliRunner().invoke(app, ["hooks", "serve"], obj=session)

    assert done.exit_code == 2
    assert "openssl rand -hex 32" in done.output
    assert "short" not in done.output


def test_two_secrets_from_a_file_or_from_two_variables(tmp_path: Path) -> None:
    file = tmp_path / "secrets"
    file.write_text(f"{LONG}\n{LONGER}\n")

    assert hook_secrets({"MLCICD_HOOK_SECRET_FILE": str(file)}) == [LONG, LONGER]
    both = {"MLCICD_HOOK_SECRET": LONGER, "MLCICD_HOOK_SECRET_PREVIOUS": LONG}
    assert hook_secrets(both) == [LONGER, LONG]


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="missing"):
        hook_secrets({"MLCICD_HOOK_SECRET_FILE": str(tmp_path / "missing")})


def test_what_waits_is_shown() -> None:
    inbox = MemoryInbox()
    inbox.put("git", "github", ["d-1"], {"ref": "refs/heads/main", "commit": ""})
    session = Session({}, resources={"inbox": inbox})

    shown = CliRunner().invoke(app, ["hooks", "inbox"], obj=session)
    as_json = CliRunner().invoke(app, ["hooks", "inbox", "--json"], obj=session)

    assert "ref=refs/heads/main" in shown.output
    assert [one["key"] for one in json.loads(as_json.output)] == ["d-1"]
