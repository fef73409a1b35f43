"""The sensor `git_trigger`: a commit that concerns a model becomes a request to train it.

It polls, so that a webhook that was lost only costs time; a delivery in the inbox makes it look at once. It
requests no run itself: what is stale then, and when that runs, the dispatcher of requests decides.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import dagster as dg

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.switch import default_status
from mlcicd_assets.automation.triggers.commits import (
    TRIGGER,
    Branch,
    Cursor,
    Look,
    next_branch,
    outdated,
    watching,
)
from mlcicd_assets.automation.triggers.footprint import footprints
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from resources.protocols import (
    Alert,
    Alerts,
    Delivery,
    Inbox,
    Movement,
    Records,
    Repository,
    Request,
    Requests,
    ResourceError,
)

INTERVAL_S = 5
_PATIENCE_S = 300.0  # a repository that cannot be reached for so long needs a person
_UNREACHABLE = f"{TRIGGER}/unreachable"
_PROJECT = Path(__file__).parents[3]


@cache
def _loaded() -> Catalogue:
    return load_all()


@dataclass(frozen=True)
class GitTrigger:
    """What a tick works with."""

    catalogue: Catalogue
    repository: Repository
    requests: Requests
    records: Records
    inbox: Inbox
    alerts: Alerts
    project: Path = _PROJECT

    def tick(self, cursor: Cursor, now: float) -> tuple[Cursor, str]:
        """Look at each branch that moved; `now` in seconds. Returns where it stands, and what was found."""
        deliveries = self.inbox.waiting("git")
        try:
            wait = cursor.asked + self.repository.interval - now
            if wait > 0 and cursor.asked <= now and not deliveries:
                return cursor, f"{self.repository.address} is asked again in {wait:.0f} s"
            moved, told = self._look(cursor, deliveries)
        except ResourceError as error:
            return self._unreachable(cursor, now, str(error))
        self.inbox.done(deliveries)
        if cursor.failing:
            self.alerts.resolve(_UNREACHABLE, reason=f"{self.repository.address} answers again")
        return Cursor(moved, asked=now), "; ".join(told) or "no branch that a model watches has moved"

    def _look(self, cursor: Cursor, deliveries: Sequence[Delivery]) -> tuple[dict[str, Branch], list[str]]:
        heads = self.repository.heads()
        watched = {branch: watching(self.catalogue, branch) for branch in heads}
        moved, told = {}, [f"{name} was deleted" for name in cursor.branches if name not in heads]
        for branch, models in watched.items():
            if not models:
                continue
            before = cursor.branches.get(branch)
            moved[branch] = before or Branch(heads[branch])
            if before and before.commit == heads[branch] and set(models) <= set(before.models):
                continue
            look = self._compare(branch, heads[branch], before, models, deliveries)
            moved[branch] = next_branch(before, heads[branch], look.movement, models)
            told += self._ask(look, before, models)
        if not moved:
            told.append(_unwatched(self.catalogue, sorted(heads)))
        return moved, told

    def _compare(
        self,
        branch: str,
        commit: str,
        before: Branch | None,
        models: Sequence[str],
        deliveries: Sequence[Delivery],
    ) -> Look:
        base = before.commit if before else self.repository.checkout()
        same = Movement((), 0, (), forward=True)
        movement = same if base == commit else self.repository.movement(branch, base, commit)
        return Look(
            self.repository,
            branch,
            commit,
            base,
            movement,
            next_branch(before, commit, movement, models).rewrites,
            tuple(one.key for one in deliveries),
        )

    def _ask(self, look: Look, before: Branch | None, models: Sequence[str]) -> Iterator[str]:
        """The requests of a look, kept; what is told of them."""
        new = [model for model in models if before is None or model not in before.models]
        blueprint = Blueprint.of(self.catalogue) if new else None
        old = outdated(blueprint, self.records.all(), new) if blueprint else {}
        prints = footprints(self.catalogue, models, self.project, self.repository.prefix)
        asked: list[Request] = [one for one in look.requests(prints, old) if self.requests.add(one)]
        if not asked:
            yield f"{look.branch} is at {look.commit[:12]}: no model asks for a run of it"
        for request in asked:
            yield request.reason

    def _unreachable(self, cursor: Cursor, now: float, problem: str) -> tuple[Cursor, str]:
        since = cursor.failing or now
        if now - since >= _PATIENCE_S:
            self.alerts.raise_alert(
                Alert(
                    cause=_UNREACHABLE,
                    state="unreachable",
                    severity="warning",
                    title=f"commits are not seen: {problem}",
                    subject=f"sensor:{TRIGGER}",
                    owner="",
                    evidence={"seconds": round(now - since)},
                    command="git ls-remote --heads ADDRESS",
                )
            )
        return replace(cursor, asked=now, failing=since), problem


def _unwatched(catalogue: Catalogue, heads: Sequence[str]) -> str:
    """Why nothing can come of it: in words that name what to declare."""
    asking = [lane.model.retrain for lane in catalogue.models.values() if lane.model.retrain]
    branches = sorted({branch for retrain in asking if retrain.code for branch in retrain.branches})
    if not branches:
        return "no model declares retrain with code: true"
    shown = ", ".join(heads[:5]) or "none"
    return f"models watch {', '.join(branches)}; the repository has {shown}: see retrain.branches"


def git_trigger(
    catalogue: Callable[[], Catalogue] = _loaded, project: Path = _PROJECT
) -> dg.SensorDefinition:
    """Makes requests of commits; requests no run."""

    @dg.sensor(
        name=TRIGGER,
        default_status=default_status(),
        minimum_interval_seconds=INTERVAL_S,
        description="Turns commits that concern a model into requests: one for each, of the newest state.",
    )
    def _git_trigger(
        context: dg.SensorEvaluationContext,
        repository: dg.ResourceParam[Repository],
        requests: dg.ResourceParam[Requests],
        records: dg.ResourceParam[Records],
        inbox: dg.ResourceParam[Inbox],
        alerts: dg.ResourceParam[Alerts],
    ) -> dg.SensorResult:
        trigger = GitTrigger(catalogue(), repository, requests, records, inbox, alerts, project)
        cursor, told = trigger.tick(Cursor.parse(context.cursor), time.time())
        return dg.SensorResult(skip_reason=told, cursor=cursor.text)

    return _git_trigger
