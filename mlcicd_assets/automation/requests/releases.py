"""Whether a model's newest release waits for a person, as the ledger tells. Pure."""

from collections.abc import Sequence

from mlcicd_assets.release.decisions import newest_decision, newest_override, requested
from mlcicd_assets.release.history import APPROVAL_REQUESTED, TRAINED, Line


def awaits_person(lines: Sequence[Line], model: str) -> str:
    """Why, and the command; empty where nothing waits, or somebody decided."""
    asked = next((line for line in reversed(lines) if line.action in {APPROVAL_REQUESTED, TRAINED}), None)
    if asked is None or asked.action == TRAINED or asked.version is None or asked.digest is None:
        return ""
    decided = newest_decision(lines, asked.version, asked.digest) or newest_override(lines, asked.digest)
    if decided is not None or not requested(lines, asked.version, asked.digest):
        return ""
    return (
        f"version {asked.version} waits for a person's approval: "
        f"mlcicd approve {model} {asked.version} --by NAME --reason WHY"
    )
