"""The datasets that ship keep their own contracts, and break them when they should."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.defs.flights import upstream as flights
from mlcicd_assets.defs.payments import upstream as payments
from mlcicd_assets.defs.planes import upstream as planes
from mlcicd_assets.defs.weather import upstream as weather
from mlcicd_assets.ml.catalogue import DEFS, load_file, read_reference
from mlcicd_assets.ml.data.contracts import ContractReport, validate
from mlcicd_assets.ml.data.labels import label_column
from mlcicd_assets.ml.declarations import DatasetDeclaration
from mlcicd_assets.ml.user_code import load_object


def declared(name: str) -> DatasetDeclaration:
    (declaration,) = load_file(DEFS / name / "defs.yaml")
    assert isinstance(declaration, DatasetDeclaration)
    return declaration


def check(name: str, records: pl.DataFrame) -> ContractReport:
    declaration = declared(name)
    contract = load_object(*read_reference(DEFS / name, declaration.contract))
    known = {"planes.tailnum": pl.scan_parquet(flights.DATA / "planes.parquet")}
    return validate(records, contract, declaration, known)


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    (path,) = flights.land(tmp_path_factory.mktemp("home"), ["2013-01"])
    return pl.read_parquet(path)


def test_flights_keep_their_contract_and_tell_which_aircraft_are_unknown(january: pl.DataFrame):
    report = check("flights", january)

    assert report.passed
    assert {failure.rule for failure in report.failures} == {"references"}
    assert 0.1 < report.failures[0].share < 0.2


def test_weather_keeps_its_contract_but_for_the_broken_instrument(tmp_path: Path):
    report = check("weather", pl.read_parquet(weather.land(tmp_path)[0]))

    assert report.passed
    (failure,) = report.failures
    assert (failure.rule, failure.count) == ("wind_below_150_mph", 1)
    assert failure.sample == ["wind_speed=1048.36058 (origin=EWR, time_hour=2013-02-12 08:00:00+00:00)"]


def test_planes_keep_their_contract(tmp_path: Path):
    report = check("planes", pl.read_parquet(planes.land(tmp_path)[0]))

    assert report.passed
    assert report.failures == []


@pytest.mark.parametrize("scenario", ["none", "all"])
@pytest.mark.parametrize("day", ["2026-01-01", "2026-06-15"])
def test_payments_keep_their_contract_whatever_drifts(scenario: str, day: str):
    records = payments.payments_of(date.fromisoformat(day), 0, payments.Scenario.named(scenario))

    report = check("payments", records)

    assert report.passed, report.summary()


def test_cancelled_flights_have_no_label_and_stay(january: pl.DataFrame):
    label = declared("flights").label
    assert label is not None

    labels = label_column(label, january)

    assert (len(labels), labels.null_count()) == (27_004, 606)
    assert labels.mean() == pytest.approx(0.227, abs=0.0005)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (pl.col("distance").cast(pl.String), "column_type"),
        (pl.lit(None, dtype=pl.Int16).alias("arr_delay"), "labels_present"),
        (pl.lit("XXX").alias("origin"), "isin"),
        (pl.lit(None, dtype=pl.Int16).alias("dep_time"), "arrival_needs_departure"),
        (pl.col("humid") + 100, "less_than_or_equal_to"),
    ],
)
def test_a_broken_month_of_flights_is_refused(january: pl.DataFrame, change: pl.Expr, rule: str):
    report = check("flights", january.with_columns(change))

    assert not report.passed
    assert rule in {failure.rule for failure in report.failures}


def test_a_flight_that_is_listed_twice_is_refused(january: pl.DataFrame):
    report = check("flights", pl.concat([january, january.head(1)]))

    (failure,) = [one for one in report.failures if one.tier == "hard"]
    assert (failure.rule, failure.count) == ("unique_keys", 2)
    assert "carrier=" in failure.message


@pytest.mark.parametrize("name", ["flights", "weather", "planes", "payments"])
def test_declared_columns_exist_in_the_contract(name: str):
    declaration = declared(name)
    contract = load_object(*read_reference(DEFS / name, declaration.contract))

    named = {*declaration.keys, *declaration.hidden, *declaration.protected, *declaration.references}
    named |= {declaration.time} if declaration.time else set()

    assert named <= set(contract.to_schema().columns)
