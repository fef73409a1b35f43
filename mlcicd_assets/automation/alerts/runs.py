"""Reads from Dagster's storage what finished runs tell, those from the command line among them.

Dagster has no sensor for failed checks, and its sensor for failed runs misses what the command line started.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from mlcicd_assets.automation.alerts.gates import WHOLE, CheckSeen, RunSeen, Span, StepSeen

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_TOLD = {
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.RUN_FAILURE,
}
# A run's last line may be committed later than that of one which ended after it.
_OVERLAP = timedelta(seconds=120)
_AT_ONCE = 200
_SEEN = 1000
_SHOWN = 300  # characters of an error


@dataclass
class RunCursor:
    """How far finished runs were read."""

    until: datetime
    seen: list[str] = field(default_factory=list)

    def next(self, instance: dg.DagsterInstance) -> Sequence[Any]:
        """The records of finished runs that were not seen yet, in the order in which they ended."""
        since = self.until - _OVERLAP
        filters = dg.RunsFilter(statuses=_FINISHED, updated_after=since)
        records = instance.get_run_records(
            filters, limit=_AT_ONCE + len(self.seen), order_by="update_timestamp", ascending=True
        )
        known = set(self.seen)
        # A tag that is set later touches a run that ended long ago.
        fresh = [
            record
            for record in records
            if record.dagster_run.run_id not in known and (record.end_time or 0) >= since.timestamp()
        ]
        return sorted(fresh, key=lambda record: record.end_time or 0)

    def passed(self, record: Any) -> None:
        """A run was taken in."""
        self.seen = [*self.seen, record.dagster_run.run_id][-_SEEN:]
        ended = datetime.fromtimestamp(record.end_time or 0, UTC)
        self.until = max(self.until, ended)


def read_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunSeen:
    """The checks and steps of one run."""
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=_TOLD)]
    known = [event for event in events if event is not None]
    checks = tuple(_checks(known, _span(run)))
    refused = {check.asset for check in checks if not check.passed and check.blocking}
    steps = [_named(step, run) for event in known if (step := _step(event, _span(run))) is not None]
    # An asset that refuses by its own check fails with it: one cause, told as the check's.
    steps = [step for step in steps if not (step.failed and step.step in refused)]
    if run.status == dg.DagsterRunStatus.FAILURE and not any(_failed(event) for event in known):
        steps.append(_outside(run, known))
    elif run.status == dg.DagsterRunStatus.SUCCESS:
        steps.append(StepSeen(_job(run), failed=False, span=_span(run)))
    return RunSeen(run.run_id, checks, tuple(steps))


def _checks(events: Sequence[Any], span: Span) -> Iterator[CheckSeen]:
    for event in events:
        if event.event_type != DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        found = event.asset_check_evaluation_data
        if not found.passed and found.severity != dg.AssetCheckSeverity.ERROR:
            continue  # a soft check warns in the UI
        yield CheckSeen(
            asset="/".join(found.asset_key.path),
            check=found.check_name,
            passed=found.passed,
            blocking=bool(found.blocking),
            span=(found.partition, found.partition) if found.partition else span,
            said=_short(found.description or ""),
        )


def _named(step: StepSeen, run: dg.DagsterRun) -> StepSeen:
    """A job's step that is about one model by its configuration: 'returns/roll_back'."""
    config: Any = run.run_config
    asked = config.get("ops", {}).get(step.step, {}).get("config", {})
    model = asked.get("model") if isinstance(asked, dict) else None
    return replace(step, step=f"{model}/{step.step}", asset=False) if model else step


def _span(run: dg.DagsterRun) -> Span:
    if one := run.tags.get("dagster/partition"):
        return one, one
    first = run.tags.get("dagster/asset_partition_range_start")
    last = run.tags.get("dagster/asset_partition_range_end")
    return (first, last) if first and last else WHOLE


def _failed(event: Any) -> bool:
    return bool(event.event_type == DagsterEventType.STEP_FAILURE)


def _step(event: Any, span: Span) -> StepSeen | None:
    """A step's end; not that of a step which a failed check ended, since that is told as the check's."""
    if event.event_type == DagsterEventType.STEP_SUCCESS:
        return StepSeen(_asset(event.step_key), failed=False, span=span)
    if not _failed(event):
        return None
    error = event.step_failure_data.error
    if error is not None and "AssetCheckFailed" in f"{error.cls_name} {error.cause and error.cause.cls_name}":
        return None
    root = _root(error)
    kind = root.cls_name or "failure" if root else "failure"
    return StepSeen(_asset(event.step_key), True, _message(root), kind, span)


def _outside(run: dg.DagsterRun, events: Sequence[Any]) -> StepSeen:
    """A run that ended without any step saying why: its process died, or never started."""
    said = next(
        (event for event in reversed(events) if event.event_type == DagsterEventType.RUN_FAILURE), None
    )
    data = said.job_failure_data if said is not None else None
    message = _message(_root(data.error)) if data and data.error else (said.message if said else "")
    return StepSeen(_job(run), True, _short(message or "the run failed"), "run failed", _span(run))


def _job(run: dg.DagsterRun) -> str:
    if not run.job_name.startswith("__"):
        return f"job {run.job_name}"
    chosen = sorted("/".join(key.path) for key in run.asset_selection or ())
    return f"job of {chosen[0]}" if chosen else "job of assets"


def _asset(step_key: str) -> str:
    return step_key.partition("[")[0].replace("__", "/")


def _root(error: Any) -> Any:
    while error is not None and error.cause is not None:
        error = error.cause
    return error


def _message(error: Any) -> str:
    text = error.message if error is not None else ""
    name = f"{error.cls_name}: " if error is not None and error.cls_name else ""
    # 'dagster._core…Failure: text': the type is told apart.
    return _short(text.partition(": ")[2] if name and text.partition(": ")[0].endswith(name[:-2]) else text)


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}…"
