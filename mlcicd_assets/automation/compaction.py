"""The job `compact` and its schedule: past days of every prediction log go into the lake."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import dagster as dg

from mlcicd_assets.automation.switch import default_schedule_status
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from mlcicd_assets.ml.thresholds import parse_duration
from resources.protocols import PredictionArchive, ResourceError

# Of a model that records no longer: what it recorded is still deleted one day.
_KEEP = timedelta(days=30)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def compact_job(
    catalogue: Callable[[], Catalogue] = load_all, clock: Callable[[], datetime] = utc_now
) -> dg.JobDefinition:
    """Each model by itself: one that cannot be compacted stops no other, and fails the run at the end."""

    @dg.op(name="compact_past_days", out=dg.Out(dg.Nothing), description="Past days of the prediction logs.")
    def _compact(
        context: dg.OpExecutionContext, prediction_archive: dg.ResourceParam[PredictionArchive]
    ) -> dg.Output[None]:
        rows, failed = [], []
        for name, lane in catalogue().models.items():
            log = lane.model.log
            keep = parse_duration(log.keep) if log else _KEEP
            try:
                done = prediction_archive.compact_past(name, clock(), keep=keep)
            except ResourceError as error:
                failed.append(f"{name}: {error}")
                continue
            rows += [
                dg.TableRecord({"model": name, "day": str(one.day), "rows": one.rows, "files": one.files})
                for one in done
            ]
            context.log.info(f"{name}: {len(done)} days went into the lake")
        if failed:
            raise dg.Failure("; ".join(failed), allow_retries=False)
        return dg.Output(None, metadata={"days": dg.MetadataValue.table(rows)} if rows else {})

    @dg.job(name="compact", description="Past days of the prediction logs go into the lake.")
    def _job() -> None:
        _compact()

    return _job


def compact_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Each night, when the day before has settled."""
    return dg.ScheduleDefinition(
        name="compact",
        job=job,
        cron_schedule="15 1 * * *",
        execution_timezone="UTC",
        default_status=default_schedule_status(),
        description="Puts the past days of the prediction logs into the lake each night.",
    )
