"""An empty name or reason is refused by every command that keeps one, before anything is written."""

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from tests.fakes.releases import MODEL


@pytest.mark.parametrize(
    "command",
    [
        ("requests", "add", MODEL),
        ("requests", "override", MODEL),
        ("alerts", "resolve", "gates/x"),
        ("pin", MODEL, "1"),
        ("rollback", MODEL),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("empty", ["--by", "--reason"])
def test_who_and_why_are_said(
    mlcicd: Callable[..., Result], world: Any, command: tuple[str, ...], empty: str
) -> None:
    options = {"--by": "asha", "--reason": "labels were corrected"} | {empty: " "}

    refused = mlcicd(world, *command, *[word for option in options.items() for word in option])

    assert refused.exit_code == 2
    assert f"an empty {empty}" in refused.stderr
    assert world.requests.pending() == []
    assert world.ledger.pointer(f"pinned/{MODEL}/1") is None
