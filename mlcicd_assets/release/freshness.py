"""Is a comparison with the champion still one on the newest labels? The same decision at every stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlcicd_assets.release.verdict import Verdict


@dataclass(frozen=True)
class LabelsNow:
    """The end of the most recent labelled holdout, and the content of each partition of features."""

    end: datetime
    contents: Mapping[str | None, str]


def stale_comparison(verdict: Verdict, now: LabelsNow, tolerance: timedelta) -> str:
    """Why challenger and champion must be scored again; empty while the comparison stands.

    A comparison is stale when labels newer than its holdout have come, beyond the `tolerance`, or when data
    that it was made on were corrected. A verdict without a champion compared nothing; one that does not say
    which data it was made on is refused.
    """
    if verdict.champion is None or verdict.champion.digest == verdict.digest:
        return ""
    until = _day(verdict.holdout.end)
    compared = f"champion version {verdict.champion.version} was scored on labels until {until}"
    if not verdict.holdout.data:
        reason = "the verdict does not say on which data"
    else:
        reason = _newer(verdict, now, tolerance) or _corrected(verdict, now)
    if not reason:
        return ""
    return f"{compared}, {reason}: materialize {verdict.model}/evaluation_report again"


def _newer(verdict: Verdict, now: LabelsNow, tolerance: timedelta) -> str:
    ahead = now.end - datetime.fromisoformat(verdict.holdout.end)
    if ahead <= tolerance:
        return ""
    more = f", more than stale_after: {tolerance} allows" if tolerance else ""
    return f"but they are known until {_day(now.end.isoformat())} now{more}"


def _corrected(verdict: Verdict, now: LabelsNow) -> str:
    changed = [
        used.table if used.partition is None else f"{used.table}@{used.partition}"
        for used in verdict.holdout.data
        if now.contents.get(used.partition) != used.content
    ]
    if not changed:
        return ""
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"but {changed[0]}{more} has changed since"


def _day(moment: str) -> str:
    """A midnight by its date alone."""
    return moment.removesuffix("T00:00:00").removesuffix("T00:00:00+00:00")
