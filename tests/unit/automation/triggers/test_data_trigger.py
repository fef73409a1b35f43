"""What lands becomes requests: once, by dataset, and only when it is whole."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlcicd_assets.automation.blueprint import Blueprint, shape_of
from mlcicd_assets.automation.landed import landed_files
from mlcicd_assets.automation.staleness import assess
from mlcicd_assets.automation.triggers.arrivals import Seen, cursor_text, parse_cursor
from mlcicd_assets.automation.triggers.data_trigger import DataTrigger, Found
from mlcicd_assets.ml.catalogue import DataLane
from mlcicd_assets.ml.code.asset_code import AssetCode
from mlcicd_assets.ml.declarations import DatasetDeclaration
from resources.arrivals import WholeFiles
from resources.landing import LandingFolder
from resources.protocols import Materialization, Request
from resources.source_sql import SqlWarehouse
from tests.fakes.alerts import MemoryAlerts
from tests.fakes.inbox import MemoryInbox
from tests.fakes.memory import MemoryRecords
from tests.fakes.requests import MemoryRequests

START = datetime(2026, 2, 1)


def lane(name: str, **values: object) -> DataLane:
    declared = {
        "name": name,
        "owner": "team:shop",
        "partitions": "daily",
        "start": "2026-01-01",
        "source": {"files": f"landing/{name}/{{partition}}.csv"},
        "contract": "dataset.py:Contract",
        **values,
    }
    return DataLane(DatasetDeclaration.model_validate(declared), Path("/nowhere"))


class Site:
    """A home, its datasets, and a trigger that looks at it."""

    def __init__(self, home: Path, datasets: Mapping[str, DataLane], url: str = "") -> None:
        self.home, self.datasets = home, datasets
        self.requests, self.records = MemoryRequests(), MemoryRecords()
        self.inbox, self.alerts = MemoryInbox(), MemoryAlerts()
        self.warehouse = SqlWarehouse({"SHOP_URL": url})
        self.ahead = 60.0
        self.landing = WholeFiles(LandingFolder(home), lambda: time.time() + self.ahead)
        self.cursor: Mapping[str, Seen] | None = None
        self.found: dict[str, Found] = {}
        self.now = START
        self.made_at = 0

    def land(self, *keys: str, content: str = "a\n1\n", dataset: str = "orders") -> None:
        folder = self.home / "landing" / dataset
        folder.mkdir(parents=True, exist_ok=True)
        for key in keys:
            scratch = folder / f".{key}"
            scratch.write_text(content)
            scratch.replace(folder / f"{key}.csv")

    def remove(self, key: str, dataset: str = "orders") -> None:
        (self.home / "landing" / dataset / f"{key}.csv").unlink()

    def tick(self, seconds: float = 5) -> list[Request]:
        self.now += timedelta(seconds=seconds)
        self.ahead += seconds
        before = len(self.requests.kept)
        trigger = DataTrigger(
            self.landing, self.warehouse, self.requests, self.records, self.inbox, self.alerts, self.now
        )
        self.found = trigger.tick(self.datasets, self.cursor)
        self.cursor = parse_cursor(cursor_text({name: one.seen for name, one in self.found.items()}))
        return [kept.request for kept in list(self.requests.kept.values())[before:]]

    def make(self, *, failure: str = "") -> None:
        """A run makes everything that is there, and whatever was pending is done."""
        self.made_at += 1
        for name, one in self.datasets.items():
            template = one.dataset.source.files
            for key in self.landing.partitions(template):
                content = self.landing.find(template, key).fingerprint
                self._record(name, key, {"file": content}, failure)
        self.answer()

    def _record(self, name: str, key: str | None, inputs: dict[str, str], failure: str = "") -> None:
        at = f"2026-02-01T00:00:{self.made_at:02d}"
        self.records.write(
            Materialization(f"{name}/raw_data", key, "c", inputs, "x", at, "run", 1.0, failure=failure)
        )

    def answer(self, state: str = "done") -> None:
        for kept in self.requests.pending():
            self.requests.change([kept.id], expected="pending", new=state)  # type: ignore[arg-type]

    def told(self, dataset: str = "orders") -> str:
        return self.found[dataset].told


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, {"orders": lane("orders")})


def test_new_late_and_corrected_partitions(site: Site) -> None:
    # given two days that were made
    site.land("2026-01-10", "2026-01-11")
    site.tick()
    site.make()

    # when one comes, one comes late, and one is corrected
    site.land("2026-01-12", "2026-01-05")
    site.land("2026-01-10", content="a\n2\n")
    (request,) = site.tick()

    # then one request says which, and how
    assert (request.scope, request.cause, request.by) == ("dataset:orders", "data", "data_trigger")
    assert request.evidence["partitions"] == {
        "2026-01-05": "late",
        "2026-01-10": "corrected",
        "2026-01-12": "new",
    }
    assert request.evidence["counts"] == {"late": 1, "corrected": 1, "new": 1}
    assert request.reason == (
        "landing/orders/{partition}.csv: new: 2026-01-12; late: 2026-01-05; corrected: 2026-01-10"
    )
    assert site.tick() == []


def test_the_first_look_at_an_existing_home_asks_for_nothing_that_is_made(site: Site) -> None:
    site.land(*[f"2026-01-{day:02d}" for day in range(1, 29)])
    site.make()
    site.remove("2026-01-03")

    assert site.tick() == []
    assert site.found["orders"].deleted == ()


def test_a_first_drop_of_many_files_is_one_request(site: Site) -> None:
    site.land(*[f"2026-01-{day:02d}" for day in range(1, 29)])

    (request,) = site.tick()

    assert request.evidence["counts"] == {"new": 28}
    assert "28 partitions, 2026-01-01 to 2026-01-28" in request.reason


def test_what_comes_while_a_request_waits_is_asked_for_alone(site: Site) -> None:
    site.land("2026-01-10")
    site.tick()
    site.land("2026-01-11")

    (request,) = site.tick()

    assert request.evidence["partitions"] == {"2026-01-11": "new"}


def test_a_partition_that_is_not_over_or_not_one_is_left_alone(site: Site) -> None:
    site.land("2026-02-01", "2025-12-31", "notes")

    assert site.tick() == []
    assert site.tick(24 * 3600)[0].evidence["partitions"] == {"2026-02-01": "new"}


def test_the_same_content_again_is_nothing(site: Site) -> None:
    site.land("2026-01-10")
    site.tick()
    site.make()
    site.land("2026-01-10")

    assert site.tick() == []


def test_a_correction_that_was_taken_back_and_comes_again_is_asked_for_again(site: Site) -> None:
    # given a correction that was taken back before a run
    site.land("2026-01-10", content="a\n1\n")
    site.tick()
    site.make()
    site.land("2026-01-10", content="a\n2\n")
    assert len(site.tick()) == 1
    site.land("2026-01-10", content="a\n1\n")
    assert site.tick() == []
    site.answer()  # nothing to do

    # when it comes again
    site.land("2026-01-10", content="a\n2\n")

    assert [request.evidence["partitions"] for request in site.tick()] == [{"2026-01-10": "corrected"}]
    assert site.tick() == []


def test_two_contents_in_turn_are_asked_for_each_time(site: Site) -> None:
    for number in range(6):
        site.land("2026-01-10", content=f"a\n{number % 2}\n")
        assert len(site.tick()) == 1
        site.make()
    assert site.tick() == []


def test_what_a_check_refused_is_not_asked_for_again_but_its_correction_is(site: Site) -> None:
    site.land("2026-01-10", content="bad\n")
    site.tick()
    site.make(failure="contract: ...")
    assert site.tick() == []

    site.land("2026-01-10", content="good\n")
    assert len(site.tick()) == 1


def test_a_failed_run_is_not_asked_for_again(site: Site) -> None:
    site.land("2026-01-10")
    site.tick()
    site.answer("failed")

    assert site.tick() == []


@pytest.mark.parametrize("lost", [None, "{not json", '{"orders": 5}', '["x"]'])
@pytest.mark.parametrize("state", ["pending", "failed", "done"])
def test_a_lost_cursor_loses_nothing_and_repeats_nothing(site: Site, lost: str | None, state: str) -> None:
    site.land("2026-01-10")
    site.tick()
    site.land("2026-01-11")
    site.tick()
    if state != "pending":
        site.answer(state)

    site.cursor = parse_cursor(lost)
    assert site.cursor is None
    assert site.tick() == []

    site.cursor = None
    site.land("2026-01-12")
    assert [request.evidence["partitions"] for request in site.tick()] == [{"2026-01-12": "new"}]


def test_a_daemon_that_was_killed_before_its_cursor_was_kept_asks_once(site: Site) -> None:
    site.land("2026-01-10")
    site.tick()
    before = site.cursor
    site.land("2026-01-11")
    site.tick()

    site.cursor = before

    assert site.tick() == []


def test_a_deleted_file_is_shown_once_and_asks_for_nothing(site: Site) -> None:
    site.land("2026-01-10", "2026-01-11")
    site.tick()
    site.make()
    site.tick()
    site.remove("2026-01-10")

    assert site.tick() == []
    assert site.found["orders"].deleted == ("2026-01-10",)
    assert "deleted, and kept as it was made: 2026-01-10" in site.told()
    site.tick()
    assert site.found["orders"].deleted == ()

    # and when it is back as it was, that is nothing either
    site.land("2026-01-10")
    assert site.tick() == []


def test_a_folder_that_is_suddenly_empty_is_told_to_a_person(site: Site) -> None:
    site.land("2026-01-10", "2026-01-11")
    site.tick()
    site.make()
    (site.home / "landing" / "orders").rename(site.home / "away")
    site.tick()

    (standing,) = site.alerts.standing()
    assert standing.alert.cause == "data_trigger/emptied/orders"
    assert "is it mounted?" in standing.alert.title
    assert standing.alert.owner == "team:shop"

    (site.home / "away").rename(site.home / "landing" / "orders")
    assert site.tick() == []
    assert site.alerts.standing() == []


def test_a_half_written_file_is_waited_for_and_in_the_end_told(site: Site) -> None:
    site.land("2026-01-10", content="a\n1")
    assert site.tick() == []
    assert "not whole yet" in site.told()
    assert site.tick(600) == []
    assert site.alerts.standing() == []
    site.tick(600)

    (standing,) = site.alerts.standing()
    assert standing.alert.cause == "data_trigger/unfinished/orders"
    assert "does not end with a newline" in standing.alert.title

    site.land("2026-01-10", content="a\n1\n")
    assert len(site.tick()) == 1
    assert site.alerts.standing() == []


def test_a_made_file_that_is_being_written_anew_is_not_deleted(site: Site) -> None:
    site.land("2026-01-10")
    site.tick()
    site.make()
    site.tick()
    site.land("2026-01-10", content="a\n2")
    site.tick()

    assert site.found["orders"].deleted == ()


def test_each_dataset_has_its_own_request(tmp_path: Path) -> None:
    site = Site(tmp_path, {"orders": lane("orders"), "visits": lane("visits")})
    site.land("2026-01-10")
    site.land("2026-01-10", dataset="visits")

    assert {request.scope for request in site.tick()} == {"dataset:orders", "dataset:visits"}


def test_evidence_is_bounded(tmp_path: Path) -> None:
    site = Site(tmp_path, {"orders": lane("orders", partitions="dynamic", start=None)})
    site.land(*[f"batch{number:04d}" for number in range(1200)])

    (request,) = site.tick()

    assert len(request.evidence["partitions"]) == 100
    assert len(request.evidence["fingerprints"]) == 1000
    assert request.evidence["counts"] == {"new": 1200}


# -- SQL --------------------------------------------------------------------------------------------------

WATERMARK = "SELECT day AS partition, MAX(changed) AS changed, COUNT(*) AS n FROM orders GROUP BY day"
SQL = {"sql": "SELECT * FROM orders WHERE day = :partition", "url_env": "SHOP_URL"}


@pytest.fixture
def shop(tmp_path: Path) -> tuple[str, Callable[[str], None]]:
    url = f"sqlite:///{tmp_path}/shop.db"
    engine = sa.create_engine(url, poolclass=sa.NullPool)

    def run(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.text(statement))

    run("CREATE TABLE orders (day TEXT, amount FLOAT, changed INTEGER)")
    return url, run


def made_by_sql(site: Site) -> None:
    site.made_at += 1
    source = site.datasets["orders"].dataset.source
    for key, mark in site.warehouse.marks(source.watermark, "SHOP_URL", max_age_s=0).items():
        if str(key) < "2026-02":
            site._record("orders", key, {"watermark": mark})
    site.answer()


def test_a_watermark_tells_new_late_corrected_and_deleted(
    tmp_path: Path, shop: tuple[str, Callable[[str], None]]
) -> None:
    url, run = shop
    orders = lane("orders", source={**SQL, "watermark": WATERMARK})
    site = Site(tmp_path, {"orders": orders}, url)
    run("INSERT INTO orders VALUES ('2026-01-10', 1.0, 1), ('2026-01-11', 1.0, 1), ('2026-02-09', 1.0, 1)")
    assert site.tick()[0].evidence["counts"] == {"new": 2}
    made_by_sql(site)

    run("UPDATE orders SET amount = 2.0, changed = 2 WHERE day = '2026-01-10'")
    run("DELETE FROM orders WHERE day = '2026-01-11'")
    run("INSERT INTO orders VALUES ('2026-01-12', 1.0, 2), ('2026-01-02', 1.0, 2)")

    # a question is asked once a minute, or when somebody tells
    assert site.tick() == []
    site.inbox.put("data", "standard-webhooks", ["msg_1"], {"dataset": "orders", "partition": ""})
    (request,) = site.tick()

    assert request.evidence["partitions"] == {
        "2026-01-02": "late",
        "2026-01-10": "corrected",
        "2026-01-12": "new",
    }
    assert request.evidence["deliveries"] == ["msg_1"]
    assert site.found["orders"].deleted == ("2026-01-11",)
    assert site.inbox.waiting("data") == []


def test_without_a_watermark_the_calendar_is_asked_once(tmp_path: Path) -> None:
    site = Site(tmp_path, {"orders": lane("orders", source=SQL)})
    assert site.tick()[0].evidence["counts"] == {"new": 31}
    assert site.tick() == []

    assert site.tick(24 * 3600)[0].evidence["partitions"] == {"2026-02-01": "new"}


def test_a_database_that_does_not_answer_stops_no_other_and_is_told_in_the_end(
    tmp_path: Path,
) -> None:
    orders = lane("orders", source={**SQL, "watermark": "SELECT 1 FROM nowhere"})
    site = Site(tmp_path, {"orders": orders, "visits": lane("visits")}, f"sqlite:///{tmp_path}/shop.db")
    site.inbox.put("data", "standard-webhooks", ["msg_1"], {"dataset": "orders"})
    site.land("2026-01-10", dataset="visits")

    assert [request.scope for request in site.tick()] == ["dataset:visits"]
    assert "no such table" in site.told()
    assert site.alerts.standing() == []
    assert site.inbox.waiting("data")
    site.tick(301)

    assert [one.alert.cause for one in site.alerts.standing()] == ["data_trigger/unreachable/orders"]


@pytest.mark.parametrize(
    ("watermark", "said"),
    [
        ("SELECT day AS partition FROM orders", "more columns"),
        ("SELECT day AS partition, changed FROM orders", "GROUP BY"),
    ],
)
def test_a_watermark_that_says_nothing_is_refused(
    tmp_path: Path, shop: tuple[str, Callable[[str], None]], watermark: str, said: str
) -> None:
    url, run = shop
    run("INSERT INTO orders VALUES ('2026-01-10', 1.0, 1), ('2026-01-10', 2.0, 2)")
    site = Site(tmp_path, {"orders": lane("orders", source={**SQL, "watermark": watermark})}, url)
    site.tick()

    assert said in site.told()


def test_the_planner_sees_a_correction_by_the_same_mark(
    tmp_path: Path, shop: tuple[str, Callable[[str], None]]
) -> None:
    url, run = shop
    run("INSERT INTO orders VALUES ('2026-01-10', 1.0, 1)")
    orders = lane("orders", source={**SQL, "watermark": WATERMARK})
    site = Site(tmp_path, {"orders": orders}, url)
    made_by_sql(site)
    code = AssetCode()
    (record,) = site.records.all()
    site.records.write(replace(record, code=code.version))
    shape = replace(shape_of(orders), stages=("raw_data",))
    blueprint = Blueprint({"orders": shape}, {}, {"orders/raw_data": code})

    def states(warehouse: SqlWarehouse | None) -> list[str]:
        landed = landed_files(blueprint, site.landing, START, warehouse)
        found = assess(blueprint, site.records.all(), landed, {})
        return [one.state for one in found if one.partition == "2026-01-10"]

    assert states(site.warehouse) == ["fresh"]
    run("UPDATE orders SET changed = 2")
    assert states(SqlWarehouse({"SHOP_URL": url})) == ["stale"]
    assert states(None) == ["fresh"]  # nobody asked: unchanged as far as is known
    assert states(SqlWarehouse({})) == ["fresh"]


def test_a_tick_that_keeps_failing_does_not_ask_again_for_what_failed(site: Site) -> None:
    site.land("2026-01-10")
    site.tick()
    site.make()
    site.tick()
    before = site.cursor
    site.land("2026-01-11")
    assert len(site.tick()) == 1
    site.answer("failed")

    for _ in range(5):  # Dagster never kept the cursor
        site.cursor = before
        assert site.tick() == []


def test_what_the_dispatcher_derived_for_others_is_not_taken_for_ours(tmp_path: Path) -> None:
    site = Site(tmp_path, {"orders": lane("orders"), "visits": lane("visits")})
    site.land("2026-01-10")
    site.land("2026-01-10", content="b\n2\n", dataset="visits")
    of_orders, _ = site.tick()
    derived = {**of_orders.evidence, "derived_from": [1]}
    site.requests.add(replace(of_orders, scope="dataset:visits", evidence=derived))

    site.cursor = None

    assert site.tick() == []
