"""What the ledger keeps of rollouts: the pointer with the state, and a line for each change of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mlcicd_assets.release.envelope import Refused
from mlcicd_assets.release.history import PROMOTED, ROLLED_BACK, Line
from mlcicd_assets.release.rollout import State, wanted
from mlcicd_assets.release.run_files import champion_pointer

BEGAN = "rollout_began"
STEP = "rollout_step"  # the traffic moves, or another phase begins
ROUTED = "rollout_routed"  # the traffic has moved
MEASURED = "rollout_measured"
HELD = "rollout_held"
RESUMED = "rollout_resumed"
COMPLETED = "rollout_completed"
ROLLBACK_BEGAN = "rollback_began"
ROLLBACK_COMPLETED = "rollback_completed"  # after a promotion; the champion's own line says rolled_back
RETRIED = "rollout_retried"


def rollout_pointer(model: str) -> str:
    """The ledger's pointer to the state of the model's last rollout."""
    return f"rollout/{model}"


def text_of(state: State) -> str:
    """As the pointer keeps it."""
    return state.model_dump_json(exclude_defaults=True)


def parse(text: str | None) -> State | None:
    """Read what the pointer keeps; None before the first rollout. Raises Refused."""
    if text is None:
        return None
    try:
        return State.model_validate_json(text)
    except ValidationError as error:
        raise Refused(
            f"the ledger holds a rollout of another format ({error.errors()[0]['msg']}); "
            "finish it with the version of mlcicd-assets that began it"
        ) from error


def action_of(before: State | None, after: State) -> str:
    """What a line that moves the pointer is called."""
    if before is None or before.id != after.id:
        return ROLLBACK_BEGAN if after.kind == "rollback" else BEGAN
    if after.phase == "promoted":
        return COMPLETED
    if after.phase == "rolled_back":
        return ROLLBACK_COMPLETED if before.restores else ROLLED_BACK
    if after.phase in {"held", "rolling_back"} and after.phase != before.phase:
        return HELD if after.phase == "held" else ROLLBACK_BEGAN
    if before.phase == "held" != after.phase:
        return RESUMED
    if after.phase == before.phase and after.pending == ():
        return ROUTED if before.pending or before.baseline is None else MEASURED
    return STEP


def details_of(state: State) -> dict[str, Any]:
    """The numbers of a line, for people and for who reads the ledger without this code."""
    step = state.current
    routing = wanted(state, state.stable.version) if state.stable and not state.moved else None
    told: dict[str, Any] = {
        "rollout": state.id,
        "phase": state.phase,
        "step": f"{state.step + 1} of {len(state.plan.steps)}: {step}" if step else None,
        "weights": {str(one): share for one, share in routing.weights.items()} if routing else None,
        "failures": state.failures or None,
        "errors": state.errors or None,
        "exposed": state.exposed,
        "analysis": state.analysis.model_dump(mode="json") if state.analysis else None,
        "actions": [str(action) for action in state.pending] or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def blocked(lines: Sequence[Line], model: str, version: int) -> Line | None:
    """The line that rolled this version back, where nobody has allowed another try since."""
    for line in reversed(lines):
        if line.version != version or _moves_champion(line, model) != (line.action == PROMOTED):
            continue
        if line.action in {RETRIED, PROMOTED}:
            return None
        if line.action in {ROLLED_BACK, ROLLBACK_COMPLETED}:
            return line if line.details.get("exposed") else None
    return None


def promotion(lines: Sequence[Line], model: str, version: int) -> Line | None:
    """The last line that made a version champion by release."""
    moves = (line for line in reversed(lines) if _moves_champion(line, model))
    return next((line for line in moves if line.action == PROMOTED and line.version == version), None)


def last_move(lines: Sequence[Line], model: str) -> Line | None:
    """The last line that moved the champion."""
    return next((line for line in reversed(lines) if _moves_champion(line, model)), None)


def _moves_champion(line: Line, model: str) -> bool:
    return (line.details.get("pointer") or {}).get("name") == champion_pointer(model)


@dataclass(frozen=True)
class Moment:
    """A state of a rollout, and when and why it was reached."""

    at: str  # ISO 8601, UTC
    action: str
    actor: str
    reason: str
    state: State


def timeline(lines: Iterable[Line], model: str, rollout: str | None = None) -> list[Moment]:
    """Every state of one rollout (the last one by default), oldest first."""
    found: list[Moment] = []
    for line in lines:
        move = line.details.get("pointer") or {}
        if move.get("name") != rollout_pointer(model) or move.get("to") is None:
            continue
        state = parse(move["to"])
        if state is None or (rollout and state.id != rollout):
            continue
        if found and found[-1].state.id != state.id:
            found = []
        found.append(Moment(line.at, line.action, line.actor, line.reason, state))
    return found
