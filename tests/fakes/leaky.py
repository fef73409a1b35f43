"""A code location whose every step fails with secrets in its mouth, or writes them wherever one can write."""

import logging
import os
import sys
import tempfile
from pathlib import Path

import dagster as dg

from resources import build_resources
from resources.protocols import Alert, Materialization, Request, ResourceError
from resources.redaction_guard import guard_dagster, guard_process
from resources.secrets import Secret

guard_process()
guard_dagster()

NAMES = ("WAREHOUSE_URL", "MLFLOW_TRACKING_TOKEN", "RISK_WEBHOOK_URL", "GIT_TOKEN", "MLCICD_APPROVER_KEY")


def everything() -> str:
    smtp = Secret(f"file:{os.environ['SMTP_FILE']}").reveal()
    return " and ".join([*(os.environ[name] for name in NAMES), f"password={smtp}"])


@dg.asset
def raises() -> None:
    try:
        int(everything())
    except ValueError as error:
        error.add_note(everything())
        raise RuntimeError(f"gave up on {everything()!r}") from error


@dg.asset
def fails() -> None:
    raise dg.Failure(
        f"refused: {everything()}",
        metadata={
            "url": everything(),
            "text": dg.MetadataValue.md(everything()),
            "all": {"of": [everything()]},
        },
    )


@dg.asset(check_specs=[dg.AssetCheckSpec("leaks", asset="logs")])
def logs(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info(everything())
    logging.getLogger("library").warning("connecting to %s", everything())
    try:
        Path(everything()).read_text()
    except OSError:
        context.log.exception("failed")
        logging.getLogger("library").exception("failed")
    print(everything())
    print(os.environ["MLCICD_APPROVER_KEY"], file=sys.stderr)
    sys.stdout.write("Authorization: Bearer ")
    sys.stdout.write(os.environ["MLFLOW_TRACKING_TOKEN"])
    sys.stdout.flush()
    context.log_event(dg.AssetObservation("logs", metadata={"seen": everything()}))
    check = dg.AssetCheckResult(
        passed=False, check_name="leaks", description=everything(), metadata={"value": everything()}
    )
    return dg.MaterializeResult(metadata={"where": everything()}, check_results=[check])


@dg.asset
def stores() -> None:
    """Every store of the project, with texts that a library's error could have brought."""
    made = build_resources()
    made["reports"].save("leaky/page.html", f"<p>{everything()}</p>")
    made["ledger"].append("noted", "leaky", actor="a", reason=everything(), details={"said": [everything()]})
    made["records"].write(
        Materialization(
            "leaky/raw", None, "c", {}, "x", "2026-01-01T00:00:00", "r", 0.1, failure=everything()
        )
    )
    made["requests"].add(Request("model:leaky", "manual", "f", everything(), {"said": everything()}))
    kept = [one.id for one in made["requests"].pending()]
    made["requests"].change(kept, expected="pending", new="refused", answer=everything())
    alert = Alert(
        "leaky", "s", "critical", everything(), "model:leaky", "o", {"why": everything()}, everything()
    )
    made["alerts"].raise_alert(alert)
    made["alerts"].resolve("nothing", reason=everything())
    made["alerts"].tell()  # two channels that refuse, with their secrets read


@dg.asset
def tracks(context: dg.AssetExecutionContext) -> None:
    tracking = build_resources()["tracking"]
    with (
        tempfile.TemporaryDirectory() as folder,
        tracking.run("leaky", "leaky", {"dagster_run_id": context.run_id}) as run,
    ):
        import mlflow

        page = Path(folder) / "notes.txt"
        page.write_text(everything())
        tracking.log(run.id, params={"url": everything()}, tags={"said": everything()})
        tracking.store(run.id, page, "notes")
        mlflow.log_param("theirs", everything())
        mlflow.set_tag("theirs", everything())
        mlflow.log_text(everything(), "theirs.txt")
        mlflow.log_dict({"said": everything()}, "theirs.json")
        raise ResourceError(everything())


@dg.asset
def queries() -> None:
    build_resources()["warehouse"].query("SELECT 1", "WAREHOUSE_URL", {})


@dg.asset
def fetches() -> None:
    build_resources()["repository"].heads()


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        assets=[raises, fails, logs, stores, tracks, queries, fetches], executor=dg.in_process_executor
    )
