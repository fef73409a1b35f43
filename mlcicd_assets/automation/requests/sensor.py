"""The sensor `requests`: turns what was asked for into as few runs as possible, and follows them to the end.

What is decided is written to the store of requests before Dagster is asked for a run, and a run is asked for
until it is seen: a daemon that is killed anywhere between loses nothing, and Dagster makes one run of a key.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint, load_blueprint
from mlcicd_assets.automation.champions import champion_digests
from mlcicd_assets.automation.landed import landed_files
from mlcicd_assets.automation.requests.answers import instant
from mlcicd_assets.automation.requests.budgets import budget_alerts, budget_cause, spent_by
from mlcicd_assets.automation.requests.carrying_out import carry_out
from mlcicd_assets.automation.requests.dispatch import decide
from mlcicd_assets.automation.requests.policy import PRIORITY, Policy, policies
from mlcicd_assets.automation.requests.releases import awaits_person
from mlcicd_assets.automation.requests.runs import busy_lanes, seen_runs
from mlcicd_assets.automation.requests.scopes import derived, model_scope, owner_of, unknown
from mlcicd_assets.automation.requests.shown import observations
from mlcicd_assets.automation.requests.situation import Ask, Decision, Situation
from mlcicd_assets.automation.staleness import Status, assess
from mlcicd_assets.automation.switch import default_status
from mlcicd_assets.automation.triggers.checkout import waiting_for_checkout
from mlcicd_assets.ml.budget import Spending
from resources.protocols import (
    Alerts,
    Git,
    KeptRequest,
    Landing,
    Ledger,
    Materialization,
    Records,
    Repository,
    Requests,
    Warehouse,
)

NAME = "requests"
PLAN = "mlcicd/plan"
REQUEST, CAUSE, BY = "mlcicd/request", "mlcicd/cause", "mlcicd/by"
_PRIORITY = "dagster/priority"
_SHOWN = 5  # sentences in a tick's message
_TAG = 60  # characters of a tag
_UNLOADED = "waits until the code location is reloaded: what it asks for was declared after that was loaded"


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def current_blueprint(instance: dg.DagsterInstance) -> Blueprint:
    """The declarations and code as the files stand: what a run that begins now will load and record."""
    return load_blueprint(Path(instance.root_directory) / "mlcicd" / "blueprint.json")


@dataclass
class Dispatcher:
    """What one tick works with; everything that takes time is read once, and only where it is needed."""

    instance: dg.DagsterInstance
    declared: Blueprint  # as the files stand
    blueprint: Blueprint  # what of it the code location has loaded
    requests: Requests
    landing: Landing
    warehouse: Warehouse
    repository: Repository
    records: Records
    ledger: Ledger
    git: Git
    alerts: Alerts
    now: datetime
    spending: dict[str, Spending] = field(default_factory=dict)

    def tick(self) -> tuple[Decision, list[Ask]]:
        """Decide, and write it down; returns what was decided, and the runs to ask for."""
        self.requests.add_all([*derived(self.requests.pending(), self.blueprint, self.policies)])
        pending = self._answerable()
        dispatched = [one for one in self.requests.dispatched() if one.request.cause != "rollback"]
        if not pending and not dispatched:
            return Decision(), []
        runs = seen_runs(self.instance, dispatched)
        situation = Situation(
            blueprint=self.blueprint,
            policies=self.policies,
            pending=pending,
            dispatched=dispatched,
            runs=runs,
            busy=busy_lanes(self.instance, runs, self.now),
            assess=self._assess,
            began=self._began,
            spent=self._spent,
            awaits=self._awaits,
            now=self.now,
        )
        decision = decide(situation)
        asks = carry_out(decision, self.requests)
        for kept in dispatched:
            if kept.key in runs and runs[kept.key].state in {"done", "failed"}:
                self._spent(owner_of(kept.request.scope))  # what it cost may be news for somebody
        self._tell()
        return decision, asks

    def _answerable(self) -> list[KeptRequest]:
        """Those that can run now: not a rollback, and nothing whose code is not here or not loaded."""
        found: list[KeptRequest] = []
        waiting: dict[str, list[int]] = {}
        pending = [one for one in self.requests.pending() if one.request.cause != "rollback"]
        away = waiting_for_checkout(pending, self.repository)
        for kept in pending:
            scope = kept.request.scope
            known_later = unknown(scope, self.blueprint) and not unknown(scope, self.declared)
            why = away.get(kept.id) or (_UNLOADED if known_later else "")
            if not why:
                found.append(kept)
            elif kept.answer != why:
                waiting.setdefault(why, []).append(kept.id)
        for why, ids in waiting.items():
            self.requests.change(ids, expected="pending", new="pending", answer=why)
        return found

    @cached_property
    def policies(self) -> dict[str, Policy]:
        """Of every declared model."""
        return policies(self.blueprint)

    @cached_property
    def _made(self) -> Sequence[Materialization]:
        return self.records.all()

    @cached_property
    def _dispatched_at(self) -> Mapping[str, str]:
        return self.requests.last_dispatched()

    def _assess(self) -> list[Status]:
        now = self.now.astimezone(UTC).replace(tzinfo=None)
        landed = landed_files(self.blueprint, self.landing, now, self.warehouse)
        champions = champion_digests(self.ledger, self.blueprint.models)
        files = self.git.files() if self.blueprint.code else None
        return assess(self.blueprint, self._made, landed, champions, files)

    def _began(self, model: str) -> datetime | None:
        """When the last run for a request began, or the last training that anybody ran; the later of both."""
        scope, trained = model_scope(model), f"{model}/{MODEL_STAGES[0]}"
        found = [instant(self._dispatched_at[scope])] if scope in self._dispatched_at else []
        if trained in self._trained:
            record = self._trained[trained]
            found.append(instant(record.at) - timedelta(seconds=record.seconds))
        return max(found, default=None)

    @cached_property
    def _trained(self) -> dict[str, Materialization]:
        return {one.asset: one for one in self._made if one.asset.endswith(f"/{MODEL_STAGES[0]}")}

    def _spent(self, model: str) -> Spending | None:
        policy = self.policies.get(model)
        if policy is None or policy.budget is None:
            return None
        if model not in self.spending:
            found = spent_by(policy, self.ledger.entries(model), self.now)
            if found is not None:
                self.spending[model] = found
        return self.spending.get(model)

    def _awaits(self, model: str) -> str:
        return awaits_person(self.ledger.entries(model), model)

    def _tell(self) -> None:
        """Raise what there is to say of the budgets that were looked at; take back what is no more."""
        standing = set()
        for alert in budget_alerts(self.policies, self.spending):
            self.alerts.raise_alert(alert)
            standing.add(alert.cause)
        for model, found in self.spending.items():
            cause = budget_cause(model, found.month)
            if cause not in standing:
                self.alerts.resolve(cause, reason="the budget allows for trainings again")


def requests_sensor(
    blueprint: Callable[[dg.DagsterInstance], Blueprint] = current_blueprint,
    clock: Callable[[], datetime] = utc_now,
) -> dg.SensorDefinition:
    """Answers requests; stopped until somebody starts it, or `MLCICD_AUTOMATION=on`."""

    @dg.sensor(
        name=NAME,
        # Not `target`: that makes one job of all assets, which may not mix partitions.
        asset_selection=dg.AssetSelection.all(),
        default_status=default_status(),
        minimum_interval_seconds=1,  # each round of the daemon
        description="Turns requests into as few runs as possible; see also: mlcicd requests.",
    )
    def _requests(
        context: dg.SensorEvaluationContext,
        requests: dg.ResourceParam[Requests],
        known_landing: dg.ResourceParam[Landing],
        warehouse: dg.ResourceParam[Warehouse],
        repository: dg.ResourceParam[Repository],
        records: dg.ResourceParam[Records],
        ledger: dg.ResourceParam[Ledger],
        git: dg.ResourceParam[Git],
        alerts: dg.ResourceParam[Alerts],
    ) -> dg.SensorResult | dg.SkipReason:
        if not requests.pending() and not requests.dispatched():
            return dg.SkipReason("nothing is asked for")
        declared = blueprint(context.instance)
        known = loaded(declared, context.repository_def)
        dispatcher = Dispatcher(
            context.instance,
            declared,
            known,
            requests,
            known_landing,
            warehouse,
            repository,
            records,
            ledger,
            git,
            alerts,
            clock(),
        )
        decision, asks = dispatcher.tick()
        return dg.SensorResult(
            run_requests=[run_request(ask) for ask in asks],
            skip_reason=None if asks else summary(decision, requests.pending()),
            asset_events=list(observations(decision, requests)),
            dynamic_partitions_requests=list(_registrations(context.instance, known, asks)),
        )

    return _requests


def loaded(blueprint: Blueprint, location: dg.RepositoryDefinition | None) -> Blueprint:
    """Without what the code location has not loaded yet: Dagster would refuse its runs."""
    if location is None:
        return blueprint
    known = {key.path[0] for key in location.asset_graph.get_all_asset_keys()}
    models = {name: data for name, data in blueprint.models.items() if {name, data} <= known}
    datasets = {name: shape for name, shape in blueprint.datasets.items() if name in known}
    return replace(blueprint, models=models, datasets=datasets)


def run_request(ask: Ask) -> dg.RunRequest:
    """The run, with what it answers as tags."""
    lead = ask.leads[0].request
    tags = {
        PLAN: NAME,
        REQUEST: _short(",".join(str(one.id) for one in ask.leads)),
        CAUSE: lead.cause,
        _PRIORITY: str(max(PRIORITY[one.request.cause] for one in ask.leads)),
        "mlcicd/reason": _short(lead.reason),
        **({BY: _short(lead.by)} if lead.by else {}),
        **({"mlcicd/merged": str(ask.merged)} if ask.merged else {}),
    }
    if ask.launch.partitions:
        first, last = ask.launch.partitions
        tags |= {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    keys = [dg.AssetKey(asset.split("/")) for asset in ask.launch.assets]
    return dg.RunRequest(run_key=ask.launch.key, asset_selection=keys, tags=tags)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _TAG else f"{plain[: _TAG - 1]}…"


def _registrations(instance: dg.DagsterInstance, blueprint: Blueprint, asks: Sequence[Ask]) -> Iterator[Any]:
    """Dagster has to know a dynamic partition before it runs."""
    for ask in asks:
        for name in {asset.split("/")[0] for asset in ask.launch.assets}:
            shape = blueprint.datasets.get(name)
            if ask.launch.partitions and shape and shape.partitions == "dynamic":
                new = {*ask.launch.partitions} - {*instance.get_dynamic_partitions(name)}
                if new:
                    yield dg.DynamicPartitionsDefinition(name=name).build_add_request(sorted(new))


def summary(decision: Decision, pending: Sequence[KeptRequest]) -> str:
    """What a tick that asks for no run did, in its message."""
    told = [
        f"request {change.ids[0]}{f' and {len(change.ids) - 1} more' if len(change.ids) > 1 else ''}: "
        f"{change.new}: {change.answer}"
        for change in decision.changes
    ]
    waiting = [f"request {one.id} ({one.request.scope}) {one.answer}" for one in pending if one.answer]
    told = told or waiting or ["the runs that were asked for go on"]
    more = [f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    return "; ".join([*told[:_SHOWN], *more])
