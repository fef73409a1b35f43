"""Reading what Dagster's log says of its steps."""

from mlcicd_assets.cli.materialize import StepEvent, command, explained, read_events

PREFIX = "2026-11-24 05:27:55 +0000 - dagster - DEBUG - __ASSET_JOB - e5826fc8 - 12743"
FAILURE = "2026-11-24 05:27:55 +0000 - dagster - ERROR - __ASSET_JOB - e5826fc8 - 12743"


def test_steps_begin_and_end_by_their_assets_names() -> None:
    log = [
        "a warning before the run",
        f'{PREFIX} - RUN_START - Started execution of run for "__ASSET_JOB".',
        f'{PREFIX} - flights__raw_data - STEP_START - Started execution of step "flights__raw_data".',
        f"{PREFIX} - flights__raw_data - ASSET_MATERIALIZATION - Materialized value flights raw_data.",
        f'{PREFIX} - flights__raw_data - STEP_SUCCESS - Finished execution of step "…" in 57ms.',
    ]

    assert list(read_events(log)) == [
        StepEvent("flights/raw_data", "running"),
        StepEvent("flights/raw_data", "done", "57 ms"),
    ]


def test_a_failure_is_told_by_its_message_without_the_traceback() -> None:
    log = [
        f'{FAILURE} - flights__raw_data - STEP_FAILURE - Execution of step "flights__raw_data" failed.',
        "",
        "dagster._core.definitions.events.Failure: 2 partitions failed:",
        "  2013-01: the file is empty; let it land again",
        "  2013-02: the file is cut short; let it land again",
        "",
        "Stack Trace:",
        '  File "execute_plan.py", line 243, in dagster_event_sequence_for_step',
        "",
        f'{PREFIX} - planes__raw_data - STEP_START - Started execution of step "planes__raw_data".',
    ]

    assert list(read_events(log)) == [
        StepEvent(
            "flights/raw_data",
            "failed",
            "2 partitions failed:\n  2013-01: the file is empty; let it land again\n"
            "  2013-02: the file is cut short; let it land again",
        ),
        StepEvent("planes/raw_data", "running"),
    ]


def test_a_log_that_ends_within_a_failure_still_tells_it() -> None:
    log = [f"{FAILURE} - m__gates - STEP_FAILURE - Execution failed.", "", "ValueError: half a line"]

    assert list(read_events(log)) == [StepEvent("m/gates", "failed", "ValueError: half a line")]


def test_a_foreign_error_keeps_its_type() -> None:
    text = (
        'dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred while executing op "x":\n\n'
        "KeyError: 'roc_auc'"
    )

    assert explained(text) == "KeyError: 'roc_auc'"


def test_a_failed_gate_is_told_by_name() -> None:
    text = (
        "dagster._core.errors.DagsterAssetCheckFailedError: 1 blocking asset check failed with ERROR "
        "severity:\nflight_delay/evaluation_report: roc_auc"
    )

    assert explained(text) == (
        "1 blocking asset check failed with ERROR severity:\nflight_delay/evaluation_report: roc_auc"
    )


def test_partitions_are_asked_for_only_where_there_are_some() -> None:
    assert "--partition-range" not in command("group:flight_delay", None)
    assert command("group:flights", "2013-01...2013-06")[-2:] == ["--partition-range", "2013-01...2013-06"]
