"""How requests are answered, in sentences for people."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from mlcicd_assets.automation.blueprint import MODEL_STAGES
from mlcicd_assets.automation.requests.policy import Policy
from mlcicd_assets.automation.requests.situation import Situation, covers
from mlcicd_assets.automation.staleness import Status
from resources.protocols import Launch, RequestState


def nothing_to_do(situation: Situation, owner: str) -> tuple[RequestState, str]:
    """The end of a request that no run has to answer: with what it would be trained on, and why not."""
    lane = situation.by_owner.get(owner, [])
    if owner not in situation.blueprint.models:
        held = _first(lane, "held")
        more = f"; held by a failed check: {held.name}: {held.reason}" if held else ""
        return (
            "done",
            f"nothing to do: every partition of {owner} that has landed is made of what there is{more}",
        )
    training = situation.training(owner)
    if training.state == "held":
        return "failed", f"nothing can run: {training.name} is held: {training.reason}"
    if training.state == "waiting":
        return "done", f"nothing to do: {training.reason}"
    held = _first(lane, "held")
    if held:
        return "failed", f"nothing can run: {held.name} is held: {held.reason}"
    if _first(lane, "stale") and (why := situation.awaits(owner)):
        return "done", f"nothing to do: {why}"
    return "done", (
        f"nothing to do: code and data are those that {owner} was last made of, so a training would give the "
        "same model; 'mlcicd requests add' with --force runs it all the same"
    )


def finished(situation: Situation, owner: str, launches: Sequence[Launch]) -> tuple[RequestState, str]:
    """The end of a request whose runs went well: failed where a check holds what was asked for."""
    runs = f"{len(launches)} runs" if len(launches) != 1 else "one run"
    lane = situation.by_owner.get(owner, [])
    mine = [one for one in lane if owner in situation.blueprint.models or _made(one, launches)]
    held = _first(mine, "held")
    if held:
        return "failed", f"after {runs}: {held.name} is held: {held.reason}"
    left = _first(mine, "stale")
    if left is None:
        return "done", f"done by {runs}"
    if left.asset == f"{owner}/{MODEL_STAGES[-1]}" and (why := situation.awaits(owner)):
        return "done", f"done by {runs}; {why}"
    if owner in situation.blueprint.models and not _made(situation.training(owner), launches):
        training = situation.training(owner)
        if training.state == "stale":  # what it is made of changed once more while it was being made
            return "failed", f"after {runs}: {training.name} was not made: {training.reason}; ask again"
    return "done", f"done by {runs}; {left.name} is stale again: {left.reason}"


def too_soon(policy: Policy, last: datetime, until: datetime) -> str:
    """Why a request waits, and until when."""
    declared = policy.retrain.at_most_every if policy.retrain else ""
    zone = ZoneInfo(policy.timezone)
    return (
        f"waits until {_minute(until, zone)}: at most every {declared}, "
        f"and the last run began {_minute(last, zone)}"
    )


def _minute(moment: datetime, zone: ZoneInfo) -> str:
    # Up to the next minute: who looks then finds it gone on.
    there = moment.astimezone(zone)
    return f"{there:%Y-%m-%d %H:%M} {'UTC' if zone.key == 'UTC' else zone.key}"


def _made(status: Status, launches: Sequence[Launch]) -> bool:
    return any(covers(launch, status.place) for launch in launches)


def _first(statuses: Sequence[Status], state: str) -> Status | None:
    return next((one for one in statuses if one.state == state), None)


def instant(text: str) -> datetime:
    """Read what a store or a record keeps."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
