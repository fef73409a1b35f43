"""What starts by itself, by the real daemon: files, commits, webhooks, monitoring; and what a kill costs."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from mlcicd_assets.assets.monitoring_report import monitoring_report
from mlcicd_assets.cli.predict import address_of, served_inputs
from mlcicd_assets.serving.protocol import encode
from resources.protocols import Request
from tests.fakes.installations import ENDED, Installation, push
from tests.fakes.projects import MONTHS, sales

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(900)]
MODEL, DATASET, LATER = "model:returns", "dataset:sales", "2026-05"
_RETRAIN = """  retrain: {performance: true, drift: true, code: true}
  monitor: {window: 1w, violations: {needed: 2, of: 3}, performance: {drop: 0.2}}
"""
_SERVING = "  serving: {requests: 120, concurrency: 2, rate: 40, load: 500ms}\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Files have landed, and the daemon has started."""
    edits = [("returns/defs.yaml", _SERVING, _SERVING + _RETRAIN)]
    made = Installation.make(tmp_path_factory.mktemp("shop"), edits)
    made.project.land()
    made.daemon.start()
    try:
        yield made
    finally:
        made.close()


def test_files_that_land_are_made_and_a_model_that_was_never_trained_is_released(shop: Installation):
    data, code = shop.answered("data", 0, DATASET), shop.answered("code", 0, MODEL)

    shop.wait("a champion", shop.champion)
    assert (data.state, code.state) == ("done", "done"), shop.describe()
    assert set(data.request.evidence["partitions"]) == set(MONTHS)
    assert len(shop.runs()) <= 3  # stores, sales and the model; none of them twice


def test_labelled_performance_that_fell_starts_a_training(shop: Installation):
    before = shop.newest()
    asked = sales(LATER, rows=1200).with_columns(returned=1 - pl.col("returned"))
    send(shop, asked)
    asked.write_parquet(shop.home / "landing" / "sales" / f"{LATER}.parquet")
    landed = shop.answered("data", before, DATASET)
    assert landed.state == "done", landed.answer

    monitor(shop, datetime(2026, 6, 1))

    answered = shop.answered("performance", before, MODEL)
    run = next(run for run in shop.runs() if run.tags["mlcicd/request"] == str(answered.id))
    assert run.tags["mlcicd/cause"] == "performance"
    assert "violated" in answered.request.evidence
    assert run.is_finished


def test_a_commit_starts_a_run_of_the_committed_code(shop: Installation):
    before = shop.newest()
    shop.checkout.edit("returns/model.py", "C=1.0", "C=0.9")
    commit = shop.checkout.commit("A little more regular")

    run = shop.wait("a run that goes on", lambda: going(shop, "code"))

    asked = next(one for one in shop.requests() if one.id > before and one.request.cause == "code")
    assert str(asked.id) in run.tags["mlcicd/request"].split(",")
    assert commit[:12] in f"{asked.request.reason} {asked.request.evidence}"


def test_a_storm_ends_in_a_handful_of_runs_although_everything_is_killed(shop: Installation):
    """The run of the commit before goes on when the first kill comes."""
    before, runs = shop.newest(), len(shop.runs())
    shop.daemon.kill()
    commit = commits_told_by_webhooks(shop, 20)
    shop.project.land([MONTHS[1]], seed=7)
    sales(LATER, rows=1200).write_parquet(shop.home / "landing" / "sales" / f"{LATER}.parquet")  # mended
    for number in range(1000):
        scope, cause = ((MODEL, "manual"), (DATASET, "data"), (MODEL, "drift"), (MODEL, "hotfix"))[number % 4]
        assert shop.resources["requests"].add(Request(scope, cause, f"storm-{number}", f"trigger {number}"))
    shop.daemon.start()
    known = {run.run_id for run in shop.runs()}
    shop.wait("a run that goes on", lambda: going(shop, without=known))

    shop.daemon.kill()
    shop.daemon.start()

    shop.wait("the end of everything", lambda: None if open_requests(shop) else True)
    told = [one for one in shop.requests() if one.id > before]
    assert len(told) >= 1000
    killed = next(one for one in shop.requests() if one.id == before)  # that of the commit before
    assert {killed.state, *(one.state for one in told)} <= {"done", "merged"}, shop.describe()
    # The killed ones again, the data, the model; a second model where the data came in between.
    assert len(shop.runs()) - runs <= 6, shop.describe()
    assert max(Counter(run.tags["dagster/run_key"] for run in shop.runs()).values()) == 1
    coded = [one for one in told if one.request.cause == "code"]
    assert len(coded) == 1, "many commits are one request of the newest state"
    assert commit[:12] in f"{coded[0].request.reason} {coded[0].request.evidence}"
    assert len(coded[0].request.evidence["deliveries"]) == 20, "they waited in the inbox while nothing ran"
    assert not shop.resources["inbox"].waiting("git")
    trained = [one for one in shop.session.ledger.entries("returns") if one.action == "trained"]
    assert trained[-1].details["commit"] == commit


def commits_told_by_webhooks(shop: Installation, count: int) -> str:
    """Commits while no daemon runs, each told to the receiver, twice; the newest one."""
    model = shop.checkout.defs / "returns" / "model.py"
    with shop.hooks() as address:
        for number in range(count):
            model.write_text(re.sub(r"C=[0-9.]+", f"C=0.8{number}", model.read_text()))
            commit = shop.checkout.commit(f"Commit {number}")
            assert push(address, commit, f"delivery-{number}") == 202
            assert push(address, commit, f"delivery-{number}") == 200  # sent again
    return commit


def going(shop: Installation, cause: str = "", without: Collection[str] = ()) -> dg.DagsterRun | None:
    """A run that has started."""
    started = (run for run in shop.runs() if run.status == dg.DagsterRunStatus.STARTED)
    return next(
        (run for run in started if run.run_id not in without and cause in ("", run.tags["mlcicd/cause"])),
        None,
    )


def open_requests(shop: Installation) -> bool:
    return any(one.state not in ENDED for one in shop.requests())


def send(shop: Installation, records: pl.DataFrame) -> None:
    """Ask the served model for each record, with its key and time."""
    import httpx

    address = address_of(shop.session, "production")
    inputs = served_inputs(address, "returns")
    rows = records.with_columns(pl.col("sold_at").dt.strftime("%Y-%m-%dT%H:%M:%S"))
    with httpx.Client(timeout=10) as client:
        for part in rows.iter_slices(100):
            request = encode(part, inputs)
            keys = [str(one) for one in part["sale_id"]]
            request["inputs"].append(
                {"name": "sale_id", "shape": [len(keys)], "datatype": "BYTES", "data": keys}
            )
            client.post(f"{address}/v2/models/returns/infer", json=request).raise_for_status()


def monitor(shop: Installation, as_of: datetime) -> None:
    """What a schedule would do at that moment; the log is on disk half a second after an answer."""
    log = shop.resources["predictions"]
    end = datetime.now().astimezone() + timedelta(days=1)
    shop.wait("the log", lambda: True if log.scan("returns", end=end).collect().height >= 1200 else None, 30)
    config = {"ops": {"returns__monitoring_report": {"config": {"as_of": as_of.isoformat(), "windows": 5}}}}
    done = dg.materialize(
        [monitoring_report(shop.session.model("returns"))],
        resources=shop.resources,
        instance=shop.instance,
        run_config={**config, "loggers": {"console": {"config": {"log_level": "ERROR"}}}},
    )
    assert done.success
