"""Carrying a decision out: what is asked of Dagster was written down before, so that a kill loses nothing."""

from collections.abc import Sequence

from mlcicd_assets.automation.requests.situation import Ask, Change, Decision
from resources.protocols import Requests


def carry_out(decision: Decision, requests: Requests) -> list[Ask]:
    """Write the changes; returns the runs to ask for. Raises ResourceError.

    A change that somebody else made first is left out, and so is the run that it would have needed.
    """
    lost: set[str] = set()  # keys of launches that nobody's change stands behind
    kept: set[str] = set()
    for change in decision.changes:
        moved = _write(change, requests)
        if change.launch is not None:
            (kept if moved else lost).add(change.launch.key)
    return [ask for ask in decision.asks if ask.launch.key in kept or ask.launch.key not in lost]


def _write(change: Change, requests: Requests) -> Sequence[int]:
    moved = requests.change(
        change.ids,
        expected=change.expected,
        new=change.new,
        run=change.run,
        answer=change.answer,
        launch=change.launch,
        expected_key=change.expected_key,
    )
    if moved and change.merged:
        into = f"into request {change.ids[0]}"
        requests.change(change.merged, expected="pending", new="merged", answer=into)
    return moved
