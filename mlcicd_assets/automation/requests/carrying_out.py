"""Carrying a decision out: what is asked of Dagster was written down before, so that a kill loses nothing."""

from mlcicd_assets.automation.requests.situation import Ask, Decision
from resources.protocols import Requests


def carry_out(decision: Decision, requests: Requests) -> list[Ask]:
    """Write the changes, all or none; returns the runs to ask for. Raises ResourceError.

    A change that somebody else made first is left out, and so is the run that it would have needed.
    """
    moved = requests.apply(decision.changes)
    decided = {change.launch.key for change in decision.changes if change.launch}
    kept = {
        change.launch.key
        for change, ids in zip(decision.changes, moved, strict=True)
        if change.launch and ids
    }
    # What is asked for again was decided by an earlier tick.
    return [ask for ask in decision.asks if ask.launch.key in kept or ask.launch.key not in decided]
