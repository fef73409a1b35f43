"""The sensor that requests runs for what is stale, by the planner that `mlcicd stale` uses.

Dagster's own automation conditions see edges only: they forget code changes with their cursor, fire on
content that did not change, and never ask again after a failed gate. Here each tick decides from the records.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache

import dagster as dg

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.champions import champion_digests
from mlcicd_assets.automation.landed import landed_files
from mlcicd_assets.automation.planning import PlannedRun, next_run
from mlcicd_assets.automation.staleness import Status, assess
from resources.protocols import Git, Landing, Ledger, Records, Requests, Warehouse

PLAN = {"mlcicd/plan": "stale"}
_PLANNED = {"mlcicd/plan": ["stale", "requests"]}
_INTERVAL_S = 60
_SHOWN = 5  # reasons in a tick's message
_GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@cache
def _loaded() -> Blueprint:
    """The declarations and code that this process has loaded: what its runs will record."""
    from mlcicd_assets.ml.catalogue import load_all

    return Blueprint.of(load_all())


def stale_sensor(blueprint: Callable[[], Blueprint] = _loaded) -> dg.SensorDefinition:
    """One run at a time, each decided after the one before; stopped until somebody starts it."""

    @dg.sensor(
        name="stale",
        # Not `target`: that makes one job of all assets, which may not mix partitions.
        asset_selection=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=_INTERVAL_S,
        description="Materializes what is stale, by partition; holds where a blocking check failed.",
    )
    def _stale(
        context: dg.SensorEvaluationContext,
        requests: dg.ResourceParam[Requests],
        landing: dg.ResourceParam[Landing],
        warehouse: dg.ResourceParam[Warehouse],
        records: dg.ResourceParam[Records],
        ledger: dg.ResourceParam[Ledger],
        git: dg.ResourceParam[Git],
    ) -> dg.SensorResult | dg.SkipReason:
        if context.instance.get_runs(dg.RunsFilter(statuses=_GOING, tags=_PLANNED), limit=1):
            return dg.SkipReason("a run of the plan is going on; what is stale then is decided after it")
        if requests.dispatched():  # its run may not be made yet
            return dg.SkipReason("requests are being answered; what is stale then is decided after them")
        known = blueprint()
        made = records.all()
        landed = landed_files(known, landing, datetime.now(UTC).replace(tzinfo=None), warehouse)
        files = git.files() if known.code else None
        statuses = assess(known, made, landed, champion_digests(ledger, known.models), files)
        last = {(record.asset, record.partition): record.run for record in made}
        # What was asked for and is as stale as then: its run failed, and would fail again.
        marks = {one.name: [one.reason, last.get(one.place, "")] for one in statuses if one.state == "stale"}
        asked = {name: mark for name, mark in _cursor(context.cursor).items() if marks.get(name) == mark}
        planned = next_run(known, statuses, {one.place for one in statuses if one.name in asked})
        if planned is None:
            return dg.SkipReason(_why_nothing(statuses, asked))
        asked |= {one.name: marks[one.name] for one in planned.statuses}
        return dg.SensorResult(run_requests=[_request(planned)], cursor=json.dumps(asked))

    return _stale


def _cursor(text: str | None) -> dict[str, list[str]]:
    return dict(json.loads(text)) if text else {}


def _request(planned: PlannedRun) -> dg.RunRequest:
    tags = dict(PLAN)
    if planned.partitions:
        first, last = planned.partitions
        tags |= {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    keys = [dg.AssetKey(asset.split("/")) for asset in planned.assets]
    return dg.RunRequest(asset_selection=keys, tags=tags)


def _why_nothing(statuses: Sequence[Status], asked: Mapping[str, object]) -> str:
    held = [f"{one.name}: {one.reason}" for one in statuses if one.state == "held"]
    failed = [
        f"{one.name}: its run failed; it is still stale: {one.reason}"
        for one in statuses
        if one.name in asked
    ]
    told = [*failed, *held]
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more if told else "everything that can be made is fresh"
