"""Whether a release waits for a person."""

from typing import Any

import pytest

from mlcicd_assets.automation.requests.releases import awaits_person
from tests.fakes.ledger import MemoryLedger


@pytest.mark.parametrize(
    ("after", "waits"),
    [
        ([], True),
        ([{"action": "approved", "version": 3, "digest": "d3"}], False),
        ([{"action": "rejected", "version": 3, "digest": "d3"}], False),
        ([{"action": "overridden", "digest": "d3"}], False),
        ([{"action": "promoted", "version": 3, "digest": "d3"}], False),
        ([{"action": "trained", "digest": "d4"}], False),
        ([{"action": "approved", "version": 2, "digest": "d2"}], True),
    ],
)
def test_until_somebody_decides_or_another_is_trained(after: list[dict[str, Any]], waits: bool):
    ledger = MemoryLedger()
    lines = [{"action": "trained", "digest": "d3"}]
    lines += [{"action": "approval_requested", "version": 3, "digest": "d3"}, *after]
    for line in lines:
        ledger.append(model="m", actor="a", **line)

    found = awaits_person(ledger.entries("m"), "m")

    assert bool(found) == waits
    assert not found or found.startswith("version 3 waits for a person's approval: mlcicd approve m 3")


def test_a_model_without_a_history_waits_for_nobody():
    assert awaits_person([], "m") == ""
