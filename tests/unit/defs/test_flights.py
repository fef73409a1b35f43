"""The vendored flights, how they land, and what is made of them."""

import hashlib
import io
import tarfile
from pathlib import Path

import polars as pl
import pytest

from mlcicd_assets.defs.flights import upstream, vendor
from mlcicd_assets.defs.flights.features import features
from mlcicd_assets.defs.planes import upstream as planes_upstream
from mlcicd_assets.defs.weather import upstream as weather_upstream


def flight(**columns: object) -> dict[str, object]:
    from datetime import datetime

    known = {"scheduled_departure": datetime(2013, 1, 7, 14, 30), "carrier": "UA", "origin": "EWR"}
    known |= {"dest": "IAH", "tailnum": "N14228", "distance": 1400, "sched_arr_time": 819, "temp": 39.0}
    readings = {"dewp": 28.0, "wind_speed": 12.0, "precip": 0.0, "pressure": 1012.0, "visib": 10.0}
    return {**known, **readings, **columns}


@pytest.fixture
def planes() -> pl.LazyFrame:
    return pl.LazyFrame({"tailnum": ["N14228"], "year": [1999], "seats": [149]})


def test_vendored_files_are_the_committed_ones():
    sums = [line.split("  ") for line in (vendor.DATA / vendor.SUMS).read_text().splitlines()]

    assert len(sums) == 14
    for expected, name in sums:
        assert hashlib.sha256((vendor.DATA / name).read_bytes()).hexdigest() == expected, name


def test_vendored_flights_are_complete():
    flights = pl.scan_parquet(vendor.DATA / "flights" / "*.parquet")

    counts = flights.select(
        rows=pl.len(),
        no_arrival=pl.col("arr_delay").null_count(),
        late=(pl.col("arr_delay") > 15).mean(),
        keys=pl.struct("scheduled_departure", "carrier", "flight", "origin").n_unique(),
    ).collect()

    assert counts.row(0) == (336_776, 9_430, pytest.approx(0.237, abs=0.0005), 336_776)


def test_another_archive_is_refused(tmp_path: Path):
    other = tmp_path / vendor.SDIST
    with tarfile.open(other, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("empty"), io.BytesIO())

    with pytest.raises(SystemExit, match="pinned is d9ef2f5c"):
        vendor.build(other, tmp_path / "data")

    assert not (tmp_path / "data").exists()


def test_landed_month_keeps_every_flight_and_adds_the_weather(tmp_path: Path):
    (path,) = upstream.land(tmp_path, ["2013-02"])

    landed = pl.read_parquet(path)
    vendored = upstream.vendored_month("2013-02")
    assert path == tmp_path / "landing/flights/2013-02.parquet"
    assert landed.select(vendored.columns).equals(vendored)
    assert landed["temp"].null_count() / len(landed) < 0.01
    assert [file.name for file in path.parent.iterdir()] == ["2013-02.parquet"]  # nothing unfinished is left


def test_weather_is_the_reading_of_the_scheduled_hour():
    from datetime import UTC, datetime

    flights = pl.DataFrame({"origin": ["JFK"] * 2, "scheduled_departure": [datetime(2013, 7, 4, 9, 59)] * 2})
    weather = pl.DataFrame(
        {
            "origin": ["JFK", "JFK", "LGA"],
            "time_hour": [datetime(2013, 7, 4, hour, tzinfo=UTC) for hour in (13, 14, 13)],
            "temp": [70.0, 75.0, 80.0],
        }
    ).with_columns(pl.col("time_hour").dt.cast_time_unit("us"))

    logged = upstream.with_weather(flights, weather)

    assert logged["temp"].to_list() == [70.0, 70.0]  # 09:59 in New York's summer is 13:59 UTC


def test_landing_again_gives_the_same_bytes(tmp_path: Path):
    once, again = upstream.land(tmp_path / "a", ["2013-01"]), upstream.land(tmp_path / "b", ["2013-01"])

    assert once[0].read_bytes() == again[0].read_bytes()


def test_unknown_month_is_refused_in_plain_words(tmp_path: Path):
    with pytest.raises(ValueError, match="no flights are known for '2014-01'"):
        upstream.land(tmp_path, ["2014-01"])


def test_reference_tables_land(tmp_path: Path):
    (planes,), (weather,) = planes_upstream.land(tmp_path, []), weather_upstream.land(tmp_path, [])

    assert (pl.read_parquet(planes).height, pl.read_parquet(weather).height) == (3_322, 26_115)


def test_features_keep_rows_and_order_and_join_the_aircraft(planes: pl.LazyFrame):
    flights = pl.LazyFrame([flight(tailnum=tail) for tail in ("N1", "N14228", None)])

    made = features(flights, planes=planes).collect()

    assert made["plane_age"].to_list() == [None, 14.0, None]
    assert made.select("departure_hour", "weekday", "seats").row(1) == (14.5, 1.0, 149.0)
    assert made["arrival_hour"][0] == pytest.approx(8 + 19 / 60)
    assert set(made.dtypes) == {pl.Float32, pl.String}


def test_features_need_nothing_that_is_known_after_departure(planes: pl.LazyFrame):
    hidden = ["arr_delay", "dep_time", "dep_delay", "arr_time", "air_time"]
    landed = upstream.with_weather(
        upstream.vendored_month("2013-03").head(500), pl.read_parquet(upstream.DATA / "weather.parquet")
    )

    made = features(landed.drop(hidden).lazy(), planes=planes).collect()

    assert made.shape == (500, 15)
    assert made["dest"].to_list() == landed["dest"].to_list()


@pytest.mark.parametrize("hour", [0, 5, 13, 23])
def test_hours_do_not_overflow_small_integers(planes: pl.LazyFrame, hour: int):
    from datetime import datetime

    flights = pl.LazyFrame([flight(scheduled_departure=datetime(2013, 5, 1, hour, 45), sched_arr_time=2359)])
    flights = flights.with_columns(pl.col("sched_arr_time", "distance").cast(pl.Int16))

    made = features(flights, planes=planes).collect()

    assert made.select("departure_hour", "arrival_hour").row(0) == (hour + 0.75, pytest.approx(23 + 59 / 60))
