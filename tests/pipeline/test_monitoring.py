"""`monitoring_report` on what the servers recorded: drift, late labels, performance, and what follows."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlcicd_assets.assets.monitoring.kept import history
from mlcicd_assets.ml.monitoring.signals import FEATURE_DRIFT, LABELS, PERFORMANCE, SCORE_DRIFT, TRAFFIC
from resources.lake import DeltaLake
from resources.landing import LandingFolder
from resources.predictions import PredictionFolder
from resources.records import SqlRecords
from resources.reports import ReportFolder
from resources.traffic_history import ReadTraffic
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.production import answer
from tests.fakes.projects import sales
from tests.fakes.requests import MemoryRequests
from tests.pipeline.conftest import Pipeline, failures, opened

MONITOR = """
  monitor:
    window: 1w
    drift: {scores: psi <= 0.2, features: psi <= 0.2}
    performance: {metric: roc_auc, drop: 0.15}
    violations: {needed: 2, of: 3}
    minimum_rows: 60
    minimum_labels: 60
  retrain: {performance: true, drift: true}
"""
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A champion; nothing was asked of it yet."""
    with opened(tmp_path_factory.mktemp("released")) as pipeline:
        pipeline.project.edit("returns/defs.yaml", "  rollout:", f"{MONITOR.strip(chr(10))}\n  rollout:")
        pipeline.project.land()
        result = pipeline.materialize('not key:"returns/monitoring_report"')
        assert result.success, failures(result)
        yield pipeline


@pytest.fixture
def served(released: Pipeline, tmp_path: Path) -> Pipeline:
    """The same champion with a lake, a log, requests and alerts of its own."""
    home = tmp_path / "home"
    shutil.copytree(released.project.home, home)
    own = {
        "lake": DeltaLake(str(home / "lake")),
        "landing": LandingFolder(home),
        "records": SqlRecords(f"sqlite:///{home}/records.db"),
        "predictions": PredictionFolder(home / "serving"),
        "traffic_history": ReadTraffic(home / "traffic"),
        "reports": ReportFolder(home / "reports"),
        "requests": MemoryRequests(),
        "alerts": MemoryAlerts(),
    }
    return replace(
        released, project=replace(released.project, home=home), resources={**released.resources, **own}
    )


def _land_may(pipeline: Pipeline, frame: pl.DataFrame) -> None:
    frame.write_parquet(pipeline.project.home / "landing" / "sales" / "2026-05.parquet")
    result = pipeline.materialize(
        'key:"sales/raw_data" or key:"sales/validated_data"', months=("2026-05", "2026-05")
    )
    assert result.success, failures(result)


def _ask(pipeline: Pipeline, frame: pl.DataFrame, version: int = 1, **more: Any) -> None:
    serving = pipeline.project.home / "serving"
    answer(
        pipeline.resources["registry"],
        serving,
        "returns",
        version,
        frame,
        keys=["sale_id"],
        **{"at": NOW, **more},
    )


def _monitor(pipeline: Pipeline, as_of: str = "2026-06-01T00:00:00", windows: int | None = 4) -> pl.DataFrame:
    config: dict[str, Any] = {"as_of": as_of, **({"windows": windows} if windows else {})}
    result = pipeline.materialize(
        'key:"returns/monitoring_report"',
        months=None,
        config={"ops": {"returns__monitoring_report": {"config": config}}},
    )
    assert result.success, failures(result)
    return pipeline.resources["lake"].scan("returns/monitoring").collect().sort("window", "version", "signal")


def _states(table: pl.DataFrame, signal: str, version: int = 1) -> list[str]:
    return table.filter((pl.col("signal") == signal) & pl.col("version").is_in([0, version]))[
        "state"
    ].to_list()


def test_a_quiet_month_is_well_window_by_window(served: Pipeline) -> None:
    _land_may(served, sales("2026-05"))
    _ask(served, sales("2026-05"))

    table = _monitor(served)

    for signal in (TRAFFIC, SCORE_DRIFT, FEATURE_DRIFT, LABELS, PERFORMANCE):
        assert _states(table, signal) == ["ok"] * 4, (signal, table.filter(pl.col("signal") == signal))
    assert served.resources["requests"].pending() == []


def test_concept_drift_is_seen_in_labelled_performance_alone_and_asks_once(served: Pipeline) -> None:
    may = sales("2026-05")
    other = may.with_columns(returned=1 - pl.col("returned"))  # what comes back is now what stayed before
    _land_may(served, other)
    _ask(served, may)

    table = _monitor(served)
    _monitor(served)

    assert "violated" not in [*_states(table, SCORE_DRIFT), *_states(table, FEATURE_DRIFT)]
    assert _states(table, PERFORMANCE) == ["violated"] * 4
    (request,) = served.resources["requests"].pending()
    assert (request.request.scope, request.request.cause) == ("model:returns", "performance")
    assert {one.alert.cause for one in served.resources["alerts"].standing()} >= {
        "monitoring/returns/performance"
    }


def test_drift_of_what_it_is_given_names_the_feature(served: Pipeline) -> None:
    may = sales("2026-05").with_columns(pl.col("amount") * 20)
    _ask(served, may)

    table = _monitor(served)

    drifted = table.filter(pl.col("signal") == FEATURE_DRIFT)
    assert set(drifted["state"]) == {"violated"}
    assert "log_amount" in drifted["reason"][0]
    assert "drift" in {one.request.cause for one in served.resources["requests"].pending()}


def test_labels_that_arrive_after_the_moment_do_not_count(served: Pipeline) -> None:
    may = sales("2026-05")
    half = pl.when(pl.col("sale_id") % 2 == 0).then(pl.col("returned"))
    _land_may(served, may.with_columns(half.alias("returned")))
    _ask(served, may)
    before = _monitor(served)
    _land_may(served, may)

    after = _monitor(served, windows=None)  # those that wait for labels are looked at again by themselves

    assert set(_states(before, PERFORMANCE)) == {"waiting"}
    assert _states(after, PERFORMANCE) == ["ok"] * 4
    assert after["window"].n_unique() == 4


def test_without_traffic_nothing_is_claimed(served: Pipeline) -> None:
    table = _monitor(served, windows=1)

    assert set(table["state"]) == {"not enough evidence"}
    assert set(table["reason"]) == {"no traffic of users was recorded"}
    assert table["value"].null_count() == table.height


def test_an_older_moment_never_replaces_what_a_later_one_found(served: Pipeline) -> None:
    may = sales("2026-05")
    _land_may(served, may)
    _ask(served, may)
    later = _monitor(served)

    again = _monitor(served, as_of="2026-05-25T00:00:00", windows=3)

    assert again.equals(later)


def test_records_without_keys_count_as_unlabelled(served: Pipeline) -> None:
    may = sales("2026-05")
    _land_may(served, may)
    _ask(served, may, settings={"keys": []})

    table = _monitor(served, windows=1)

    assert _states(table, PERFORMANCE) == ["waiting"]
    assert table.filter(pl.col("signal") == LABELS)["value"][0] == 0.0


def test_labels_of_windows_whose_data_has_not_landed_still_come(served: Pipeline) -> None:
    """The data lane is behind production: nothing is wrong with the table, and nobody is told so."""
    _ask(served, sales("2026-06"))

    table = _monitor(served, as_of="2026-06-29T00:00:00", windows=1)

    assert _states(table, PERFORMANCE) == ["waiting"]
    assert "materialize" not in " ".join(table["reason"])
    assert table.filter(pl.col("signal") == LABELS)["value"][0] == 0.0


def test_windows_of_another_length_from_before_do_not_count(served: Pipeline) -> None:
    may = sales("2026-05")
    _land_may(served, may)
    _ask(served, may)
    _monitor(served)
    lake = served.resources["lake"]

    weeks, days = (history(lake, "returns", length=timedelta(days=length)) for length in (7, 1))

    assert len({one.window for one in weeks}) == 4
    assert days == []


def test_files_that_a_server_merges_meanwhile_are_listed_anew(
    served: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ask(served, sales("2026-05"))
    predictions = served.resources["predictions"]
    scan, listed = predictions.scan, []

    def merged(*arguments: Any, **more: Any) -> pl.LazyFrame:
        found = scan(*arguments, **more)
        if not listed:  # between the listing and the reading
            for path in predictions.files("returns"):
                path.rename(path.with_name(path.name.replace("00000001-00000001", "00000001-00000002")))
        listed.append(1)
        return found

    monkeypatch.setattr(predictions, "scan", merged)
    table = _monitor(served, windows=1)

    assert _states(table, TRAFFIC) == ["ok"]
    assert len(listed) == 2
