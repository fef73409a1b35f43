"""When things run, and what is stale."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg


def automation() -> "dg.Definitions":
    """Jobs, schedules and sensors of the location."""
    # Here, so that staleness can be asked for without Dagster.
    import dagster as dg

    from mlcicd_assets.automation.alerts.sensor import alerts_asset, alerts_sensor
    from mlcicd_assets.automation.approvals import approvals_sensor, decision_job
    from mlcicd_assets.automation.backtests import backtest_job
    from mlcicd_assets.automation.compaction import compact_job, compact_schedule
    from mlcicd_assets.automation.monitoring import monitoring_sensor
    from mlcicd_assets.automation.reproduction import reproduce_job
    from mlcicd_assets.automation.requests.rollbacks import rollbacks_sensor
    from mlcicd_assets.automation.requests.sensor import requests_sensor
    from mlcicd_assets.automation.requests.shown import requests_asset
    from mlcicd_assets.automation.retention import retention_job, retention_schedule
    from mlcicd_assets.automation.rollouts import rollback_job, rollouts_sensor
    from mlcicd_assets.automation.stale_sensor import stale_sensor
    from mlcicd_assets.automation.triggers.data_trigger import data_trigger
    from mlcicd_assets.automation.triggers.git_trigger import git_trigger

    retention, rollback, compact = retention_job(), rollback_job(), compact_job()
    return dg.Definitions(
        assets=[alerts_asset(), requests_asset()],
        jobs=[backtest_job(), compact, decision_job(), retention, reproduce_job(), rollback],
        sensors=[
            alerts_sensor(),
            approvals_sensor(),
            rollouts_sensor(),
            stale_sensor(),
            monitoring_sensor(),
            git_trigger(),
            data_trigger(),
            requests_sensor(),
            rollbacks_sensor(rollback),
        ],
        schedules=[compact_schedule(compact), retention_schedule(retention)],
    )
