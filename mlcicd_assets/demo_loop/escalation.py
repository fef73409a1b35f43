"""Who is told of what needs a person: the owner's channel, then on-call's."""

from pathlib import Path
from typing import TYPE_CHECKING

from mlcicd_assets.demo_loop.stage import MODEL, NotHappened, Stage

if TYPE_CHECKING:
    from resources.protocols import StandingAlert

# Seconds where production waits half an hour.
SETTINGS = """channels:
  team: {kind: file, path: alerts/team-risk.jsonl}
  on_call: {kind: file, path: alerts/on-call.jsonl}
routes:
  - {owner: "team:risk", to: [team]}
on_call: [on_call]
escalate_after: {critical: 5s}
cool_down: 1h
"""
_CAUSE = f"gates/{MODEL}"


def settle(home: Path) -> None:
    """Write who is told, and how soon on-call is."""
    (home / "alerts.yaml").write_text(SETTINGS)


def look(stage: Stage) -> None:
    """What cron does beside the daemon: `mlcicd alerts check`; it exits 1 while something critical stands."""
    try:
        stage.command("alerts", "check")
    except NotHappened as standing:
        if "ended with 1:" not in str(standing):
            raise


def alerts_of_gates(stage: Stage) -> "StandingAlert | None":
    """The alert of the blocked gates, once somebody was told of it."""
    found = stage.resources["alerts"].standing()
    return next((one for one in found if one.alert.cause.startswith(_CAUSE) and one.told), None)


def escalated(stage: Stage) -> "StandingAlert | None":
    """The same, once on-call was told as well."""
    found = alerts_of_gates(stage)
    return found if found is not None and len(found.told) > 1 else None
