"""Requests that were refused or never came to a run, until a later one of their scope goes through. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from resources.protocols import Alert, KeptRequest

PREFIXES = ("request/",)


def request_alerts(history: Sequence[KeptRequest], owners: Mapping[str, str]) -> list[Alert]:
    """What stands: by scope, where the newest request that was decided was refused; newest first."""
    found: list[Alert] = []
    decided: set[str] = set()
    for kept in sorted(history, key=lambda one: one.id, reverse=True):
        scope = kept.request.scope
        if scope in decided or kept.state in {"pending", "merged", "dispatched"}:
            continue
        decided.add(scope)
        # A run that failed is told as that, by what failed in it.
        if kept.state == "refused" or (kept.state == "failed" and not kept.run):
            found.append(_alert(kept, owners))
    return found


def told_by_budget(alert: Alert, standing: Iterable[str]) -> bool:
    """Whether a refusal for want of budget is told already, as the budget's own alert."""
    model = alert.subject.removeprefix("model:")
    return "budget" in alert.state and any(cause.startswith(f"budget/{model}/") for cause in standing)


def months_over(standing: Iterable[str], now: datetime) -> list[str]:
    """Budgets of months that are over in every time zone."""
    month = (now - timedelta(days=1)).strftime("%Y-%m")
    return [cause for cause in standing if cause.startswith("budget/") and cause.rpartition("/")[2] < month]


def _alert(kept: KeptRequest, owners: Mapping[str, str]) -> Alert:
    request = kept.request
    name = request.scope.partition(":")[2]
    what = "was refused" if kept.state == "refused" else "failed"
    return Alert(
        cause=f"request/{request.scope}",
        state=f"{kept.state} {request.cause} {_kind(kept.answer) if kept.state == 'refused' else ''}".strip(),
        severity="warning",
        title=f"{request.scope}: the request ({request.cause}) {what}: {kept.answer or request.reason}",
        subject=request.scope,
        owner=owners.get(name, ""),
        evidence={
            "asked": request.reason,
            "at": kept.at,
            "by": request.by,
            "answer": kept.answer,
            "Dagster run": kept.run or None,
        },
        command="mlcicd requests",
    )


def _kind(answer: str) -> str:
    """The answer without its amounts and times: the same refusal a day later is the same."""
    return re.sub(r"\d[\w.:+-]*", "#", answer)[:200]
