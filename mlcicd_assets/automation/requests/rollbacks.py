"""The sensor `rollback_requests`: a request for a rollback becomes a run of the job `rollback`, at once.

It waits for nothing: not for a training that goes on, not for a budget. The ledger keeps a rollback and a
release apart.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import dagster as dg

from mlcicd_assets.automation.requests.carrying_out import carry_out
from mlcicd_assets.automation.requests.dispatch import launch_key
from mlcicd_assets.automation.requests.policy import PRIORITY
from mlcicd_assets.automation.requests.runs import seen_runs
from mlcicd_assets.automation.requests.scopes import owner_of
from mlcicd_assets.automation.requests.sensor import BY, CAUSE, NAME, PLAN, REQUEST, summary
from mlcicd_assets.automation.requests.shown import observations
from mlcicd_assets.automation.requests.situation import Ask, Decision, Seen
from mlcicd_assets.ml.catalogue import load_all
from resources.protocols import KeptRequest, Launch, RequestChange, Requests, RequestState

_INTERVAL_S = 1  # each round of the daemon
_TAG = 60


@cache
def _loaded() -> frozenset[str]:
    return frozenset(load_all().models)


def decide_rollbacks(
    pending: Sequence[KeptRequest],
    dispatched: Sequence[KeptRequest],
    runs: Mapping[str, Seen],
    models: frozenset[str],
) -> Decision:
    """One run for each model, for all that ask it; pure."""
    decision = Decision()
    at_work = {}
    for kept in dispatched:
        seen = runs.get(kept.key)
        if seen is None or seen.state == "created":
            decision.asks.append(Ask(kept.launches[-1], (kept,)))
        if seen is None or seen.state in {"created", "going"}:
            at_work[kept.request.scope] = kept
        elif seen.state == "done":
            decision.changes.append(_ended(kept, seen, "done", "done: mlcicd audit tells what it did"))
        else:
            decision.changes.append(_ended(kept, seen, "failed", seen.failure))
    groups: dict[str, list[KeptRequest]] = {}
    for kept in pending:
        groups.setdefault(kept.request.scope, []).append(kept)
    for scope, group in groups.items():
        ids = tuple(one.id for one in group)
        if scope.partition(":")[0] != "model" or owner_of(scope) not in models:
            said = f"a rollback is of a declared model ({', '.join(sorted(models)) or 'none'}), not {scope}"
            decision.changes.append(RequestChange(ids, "pending", "refused", said))
        elif scope not in at_work:
            _begin(decision, group)
    return decision


def _begin(decision: Decision, group: Sequence[KeptRequest]) -> None:
    lead, merged = group[0], tuple(one.id for one in group[1:])
    launch = Launch(launch_key(lead), ())
    told = f"run {launch.key}: the job 'rollback'"
    decision.changes.append(
        RequestChange(
            (lead.id,), "pending", "dispatched", told, launch=launch, expected_key="", merged=merged
        )
    )
    decision.asks.append(Ask(launch, (lead,), len(merged)))


def _ended(kept: KeptRequest, seen: Seen, new: RequestState, answer: str) -> RequestChange:
    return RequestChange((kept.id,), "dispatched", new, answer, run=seen.run, expected_key=kept.key)


def rollbacks_sensor(
    job: dg.JobDefinition, models: Callable[[], frozenset[str]] = _loaded
) -> dg.SensorDefinition:
    """Launches the job `rollback`."""

    @dg.sensor(
        name="rollback_requests",
        job=job,
        # It does nothing unless somebody asks for a rollback.
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_INTERVAL_S,
        description="Takes champions back for requests: mlcicd requests add MODEL --cause rollback.",
    )
    def _rollbacks(
        context: dg.SensorEvaluationContext, requests: dg.ResourceParam[Requests]
    ) -> dg.SensorResult | dg.SkipReason:
        pending = [one for one in requests.pending() if one.request.cause == "rollback"]
        dispatched = [one for one in requests.dispatched() if one.request.cause == "rollback"]
        if not pending and not dispatched:
            return dg.SkipReason("no rollback is asked for")
        runs = seen_runs(context.instance, dispatched)
        decision = decide_rollbacks(pending, dispatched, runs, models())
        asks = carry_out(decision, requests)
        return dg.SensorResult(
            run_requests=[_run_request(ask, job.name) for ask in asks],
            skip_reason=None if asks else summary(decision, []),
            asset_events=list(observations(decision, requests)),
        )

    return _rollbacks


def _run_request(ask: Ask, job: str) -> dg.RunRequest:
    kept = ask.leads[0]
    request = kept.request
    by = request.by or "nobody named"
    config = {
        "model": owner_of(request.scope),
        "by": by,
        "reason": request.reason,
        "version": int(request.evidence.get("version") or 0),
    }
    return dg.RunRequest(
        run_key=ask.launch.key,
        job_name=job,
        run_config={"ops": {"roll_back": {"config": config}}},
        tags={
            PLAN: NAME,
            REQUEST: str(kept.id),
            CAUSE: "rollback",
            "dagster/priority": str(PRIORITY["rollback"]),
            BY: by[:_TAG],
        },
    )
