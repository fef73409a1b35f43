"""The job `reproduce` and its schedules: a served version trained again from its own commit and data."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from mlcicd_assets.assets.candidates import champion
from mlcicd_assets.assets.expected import expected_failures
from mlcicd_assets.assets.reproduction import Reproduced, record_reproduction, reproduce
from mlcicd_assets.automation.declared_models import declared_model
from mlcicd_assets.ml.catalogue import Catalogue, ModelLane, load_all
from resources.protocols import Git, Landing, Ledger, ModelVersion, Registry, Tracking

JOB = "reproduce"


class ReproduceConfig(dg.Config):
    """Which version is trained again."""

    model: str = Field(description="A declared model.")
    version: int = Field(default=0, description="A registered version; 0: the champion.")


def reproduce_job(catalogue: Callable[[], Catalogue] = load_all) -> dg.JobDefinition:
    """One op that trains, compares and registers nothing; it fails when the version is not made again."""

    @dg.op(
        name="train_again", out=dg.Out(dg.Nothing), description="Does the same training give the same model?"
    )
    def _again(
        context: dg.OpExecutionContext,
        config: ReproduceConfig,
        landing: dg.ResourceParam[Landing],
        tracking: dg.ResourceParam[Tracking],
        registry: dg.ResourceParam[Registry],
        ledger: dg.ResourceParam[Ledger],
        git: dg.ResourceParam[Git],
    ) -> dg.Output[None]:
        with expected_failures(), tempfile.TemporaryDirectory(prefix="mlcicd-") as scratch:
            lane = declared_model(catalogue(), config.model)
            found = reproduce(
                _version(ledger, registry, config),
                tracking,
                git,
                {**os.environ, "MLCICD_HOME": str(landing.root.resolve())},
                Path(scratch),
                tolerance=lane.model.reproducible.tolerance,
            )
        record_reproduction(ledger, found, f"run {context.run_id}")
        if not found.passed:
            raise dg.Failure(
                f"{config.model}: {found.repeated.conclusion}", metadata=_shown(found), allow_retries=False
            )
        return dg.Output(None, metadata=_shown(found))

    @dg.job(name=JOB, description="Trains a version again from its commit and data versions.")
    def _reproduce() -> None:
        _again()

    return _reproduce


def reproduce_schedules(lane: ModelLane) -> list[dg.ScheduleDefinition]:
    """The schedule of a model that declares `reproducible.schedule`; stopped until somebody starts it."""
    rule = lane.model.reproducible
    if not rule.schedule:
        return []
    return [
        dg.ScheduleDefinition(
            name=f"reproduce_{lane.model.name}",
            job_name=JOB,
            cron_schedule=rule.schedule,
            execution_timezone=rule.timezone,
            run_config={"ops": {"train_again": {"config": {"model": lane.model.name}}}},
            description=f"Trains the champion of {lane.model.name} again and compares.",
        )
    ]


def _version(ledger: Ledger, registry: Registry, config: ReproduceConfig) -> ModelVersion:
    found = (
        registry.get(config.model, config.version)
        if config.version
        else champion(ledger, registry, config.model)
    )
    if found is None:
        which = f"version {config.version}" if config.version else "champion"
        raise dg.Failure(f"{config.model} has no {which}", allow_retries=False)
    return found


def _shown(found: Reproduced) -> dict[str, Any]:
    repeated = found.repeated
    return {
        "version": found.version.version,
        "commit": found.commit,
        "conclusion": repeated.conclusion,
        "digest": repeated.digest,
        "digest again": repeated.again,
        "files that differ": ", ".join(repeated.files) or "none",
        "differences of code and environment": "\n".join(found.differences) or "none",
        "seconds": repeated.seconds,
    }
