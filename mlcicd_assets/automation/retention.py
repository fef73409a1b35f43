"""The job `retention` and its schedule: the same rules and the same deletions as `mlcicd retention`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.retention import (
    Store,
    Vacuum,
    apply_model,
    apply_tables,
    plan_model,
    plan_tables,
)
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from mlcicd_assets.release.retention import Item
from resources.protocols import Lake, Ledger, Registry, Reports, ServingTarget, Tracking

_SHOWN = 200  # rows of a table in the UI


class RetentionConfig(dg.Config):
    """Whether to delete, or only to show what would be."""

    apply: bool = Field(default=False, description="Delete; otherwise the plan is shown and nothing done.")


def retention_job(catalogue: Callable[[], Catalogue] = load_all) -> dg.JobDefinition:
    """Plans first, and deletes exactly that, looking again before each deletion."""

    @dg.op(name="retain", out=dg.Out(dg.Nothing), description="Deletes by rule what nothing needs any more.")
    def _retain(
        context: dg.OpExecutionContext,
        config: RetentionConfig,
        lake: dg.ResourceParam[Lake],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        reports: dg.ResourceParam[Reports],
        serving: dg.ResourceParam[ServingTarget],
    ) -> dg.Output[None]:
        store = Store(lake, tracking, registry, ledger, reports, serving, lambda: datetime.now(UTC))
        actor = f"run {context.run_id}"
        found = catalogue()
        models: list[tuple[str, Item, str]] = []
        with expected_failures():
            for name, lane in found.models.items():
                planned = plan_model(store, lane)
                context.log.info(f"{name}: {len(planned.delete)} to delete, {len(planned.keep)} stay")
                deleted = apply_model(store, lane, planned, actor) if config.apply else planned.delete
                models += [(name, item, "goes") for item in deleted]
                models += [(name, item, "stays") for item in planned.keep]
            tables = apply_tables(store, found, actor) if config.apply else plan_tables(store, found)
        return dg.Output(None, metadata=_shown(models, tables, applied=config.apply))

    @dg.job(name="retention", description="Old versions, runs, reports and table versions, by rule.")
    def _retention() -> None:
        _retain()

    return _retention


def retention_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Each night; stopped until somebody starts it, because it deletes."""
    return dg.ScheduleDefinition(
        name="retention",
        job=job,
        cron_schedule="30 3 * * *",
        run_config={"ops": {"retain": {"config": {"apply": True}}}},
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Deletes by rule each night what nothing needs any more.",
    )


def _shown(
    models: Sequence[tuple[str, Item, str]], tables: Sequence[Vacuum], *, applied: bool
) -> dict[str, Any]:
    rows = [
        dg.TableRecord({"model": name, "what": f"{one.kind} {one.name}", "": verb, "why": one.reason})
        for name, one, verb in sorted(models, key=lambda row: row[2])
    ]
    vacuumed = [
        dg.TableRecord({"table": one.table, "files": one.files, "kept versions": str(list(one.kept))})
        for one in tables
    ]
    return {
        "applied": applied,
        "deleted" if applied else "would be deleted": sum(verb == "goes" for _, _, verb in models),
        **({"plan": dg.MetadataValue.table(rows[:_SHOWN])} if rows else {}),
        **({"tables": dg.MetadataValue.table(vacuumed)} if vacuumed else {}),
    }
