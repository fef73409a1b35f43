"""What a finished run tells, as Dagster keeps it."""

import dagster as dg

from mlcicd_assets.automation.alerts.runs import read_run


def test_a_job_about_one_model_tells_of_that_model() -> None:
    @dg.op(config_schema={"model": str})
    def roll_back() -> None:
        raise ValueError("nothing to go back to")

    @dg.job
    def rollback() -> None:
        roll_back()

    with dg.DagsterInstance.ephemeral() as instance:
        config = {"ops": {"roll_back": {"config": {"model": "returns"}}}}
        done = rollback.execute_in_process(run_config=config, instance=instance, raise_on_error=False)
        seen = read_run(instance, done.dagster_run)

    (step,) = seen.steps
    assert (step.step, step.failed, step.asset) == ("returns/roll_back", True, False)
    assert "nothing to go back to" in step.error
