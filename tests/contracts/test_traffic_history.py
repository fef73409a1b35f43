"""Traffic of the past, by readings of the proxy and by a Prometheus: the same counts, or openly none."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.prometheus import PrometheusTraffic
from resources.protocols import ResourceError, TrafficHistory
from resources.traffic import Histogram, Traffic
from resources.traffic_history import ReadTraffic
from tests.fakes.prometheus import FakePrometheus, served

SCRAPE = (Path(__file__).parents[1] / "fakes" / "scrapes" / "envoy.prom").read_text()
MODEL = "shop_risk"
START = datetime(2026, 4, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def reading(requests: int, errors: int = 0, version: int = 1) -> Traffic:
    latency = Histogram((0.5, 1.5), (requests - 2, 2, 0))
    return Traffic(
        MODEL, version, requests, errors, {}, latency=latency, counted_since="2026-04-01T00:00:00+00:00"
    )


@pytest.fixture(params=["readings", "prometheus"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrafficHistory]:
    """What a real Envoy had counted, once at the window's start and three times that at its end."""
    if request.param == "readings":
        kept = ReadTraffic(tmp_path)
        kept.note("production", MODEL, [reading(107, 0), reading(14, 0, 2)], START)
        kept.note("production", MODEL, [reading(321, 0), reading(42, 0, 2)], START + DAY)
        yield kept
        return
    prometheus = FakePrometheus()
    prometheus.scrape(START.timestamp(), SCRAPE)
    prometheus.scrape((START + DAY).timestamp(), SCRAPE, factor=3)
    with served(prometheus) as address:
        yield PrometheusTraffic(address)


def test_a_window_has_what_was_counted_in_it_by_version(history: TrafficHistory) -> None:
    found = {
        one.traffic.version: one.traffic for one in history.between("production", MODEL, START, START + DAY)
    }

    assert {version: one.requests for version, one in found.items()} == {1: 214, 2: 28}
    assert found[1].errors == 0
    assert found[1].latency_ms["p50"] < found[1].latency_ms["p99"]


def test_what_nobody_looked_at_is_not_known(history: TrafficHistory) -> None:
    before = START - 9 * DAY

    assert history.between("production", MODEL, before, before + DAY) == []
    assert history.between("production", "another", START, START + DAY) == []


def test_readings_that_are_far_from_the_window_do_not_count(tmp_path: Path) -> None:
    kept = ReadTraffic(tmp_path)
    kept.note("production", MODEL, [reading(10)], START - 3 * DAY)
    kept.note("production", MODEL, [reading(30)], START + DAY)

    assert kept.between("production", MODEL, START, START + DAY) == []


def test_all_that_was_counted_lies_in_the_window_where_the_proxy_began_in_it(tmp_path: Path) -> None:
    kept = ReadTraffic(tmp_path)
    began = replace(reading(30, 3), counted_since=(START + timedelta(hours=1)).isoformat())
    kept.note("production", MODEL, [began], START + DAY)

    (found,) = kept.between("production", MODEL, START, START + DAY)
    assert (found.traffic.requests, found.traffic.errors) == (30, 3)
    assert found.since == START + timedelta(hours=1)


def test_half_a_line_of_a_killed_process_is_passed_over(tmp_path: Path) -> None:
    kept = ReadTraffic(tmp_path)
    kept.note("production", MODEL, [reading(10)], START)
    with (tmp_path / "production" / f"{MODEL}.jsonl").open("a") as file:
        file.write('{"at": "2026-04-09T12\n')
    kept.note("production", MODEL, [reading(30)], START + DAY)

    (found,) = kept.between("production", MODEL, START, START + DAY)
    assert found.traffic.requests == 20


def test_errors_are_counted_by_class() -> None:
    prometheus = FakePrometheus()
    failing = SCRAPE.replace('envoy_response_code_class="4"', 'envoy_response_code_class="5"')
    prometheus.scrape(START.timestamp(), failing)
    prometheus.scrape((START + DAY).timestamp(), failing, factor=11)
    with served(prometheus) as address:
        found = PrometheusTraffic(address).between("production", MODEL, START, START + DAY)

    assert {one.traffic.version: one.traffic.errors for one in found} == {1: 10, 2: 0}


def test_the_token_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    prometheus = FakePrometheus(token="s3cret-of-the-prometheus")
    with served(prometheus) as address:
        environment = {"MLCICD_PROMETHEUS_URL": address}
        without = PrometheusTraffic.from_environment(environment)
        assert without is not None
        with pytest.raises(ResourceError, match="refuses us") as refused:
            without.between("production", MODEL, START, START + DAY)
        given = {**environment, "MLCICD_PROMETHEUS_TOKEN": "s3cret-of-the-prometheus"}
        with_token = PrometheusTraffic.from_environment(given)
        assert with_token is not None
        assert with_token.between("production", MODEL, START, START + DAY) == []

    assert "s3cret" not in f"{refused.value} {with_token!r}"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ((200, "<html>"), "no JSON"),
        ((400, '{"status": "error", "error": "bad query"}'), "bad query"),
        (
            (200, '{"status": "success", "data": {"result": [{"metric": {}}]}}'),
            "something else than a vector",
        ),
        ((200, '{"status": "success", "data": null}'), "something else than a vector"),
    ],
)
def test_what_is_no_answer_is_an_error_that_names_the_host_alone(broken: tuple[int, str], said: str) -> None:
    with served(FakePrometheus(broken=broken)) as address:
        asked = PrometheusTraffic(address.replace("http://", "http://user:hunter22hunter@"))
        with pytest.raises(ResourceError, match=said) as error:
            asked.between("production", MODEL, START, START + DAY)

    assert "hunter22" not in str(error.value)


def test_nothing_listens() -> None:
    with pytest.raises(ResourceError, match="does not answer"):
        PrometheusTraffic("http://127.0.0.1:9").between("production", MODEL, START, START + DAY)


def test_without_a_url_there_is_none() -> None:
    assert PrometheusTraffic.from_environment({}) is None
    with pytest.raises(ResourceError, match="is an address like"):
        PrometheusTraffic.from_environment({"MLCICD_PROMETHEUS_URL": "file:///etc/passwd"})
