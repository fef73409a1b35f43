"""`mlcicd backtest` on a small project whose lake is in memory."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlcicd_assets.cli.app import app
from mlcicd_assets.cli.session import Session
from mlcicd_assets.ml.catalogue import load_all
from tests.fakes.memory import MemoryLake
from tests.fakes.projects import sales, stores, write_project

MONTHS = [f"2026-{month:02d}" for month in range(1, 7)]
CHECKS = """  checks:
    row_count: within 4 sigma
    drift: ks <= 0.15 against last 4
  minimum_history: 3
  references:"""


class Shop:
    """Six months in the lake; the last has far fewer sales than usual."""

    def __init__(self, folder: Path) -> None:
        project = write_project(folder / "project", folder)
        project.edit("sales/defs.yaml", "  references:", CHECKS)
        self.lake = MemoryLake()
        for month in MONTHS:
            rows = 300 if month == MONTHS[-1] else 600
            self.lake.write("sales/raw_data", sales(month, rows=rows), partition=month)
        self.lake.write("stores/validated_data", stores())
        self.catalogue = load_all(project.defs)

    def ask(self, *arguments: str) -> Result:
        session = Session({}, catalogue=self.catalogue, resources={"lake": self.lake})
        return CliRunner().invoke(app, ["backtest", *arguments], obj=session)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_it_tells_which_partitions_would_have_failed(shop: Shop):
    found = json.loads(shop.ask("sales", "--json").stdout)
    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert found["partitions"] == MONTHS
    assert rules["row_count"]["failed"] == ["2026-06"]
    assert rules["row_count"]["evaluated"] == 3
    assert rules["row_count"]["cold_starts"] == 3
    assert rules["row_count"]["alarm_rate"] == pytest.approx(1 / 3)
    assert rules["contract"]["alarm_rate"] == 0
    assert rules["drift"]["failed"] == []


def test_the_table_has_rates_and_suggested_bounds(shop: Shop):
    told = shop.ask("sales")
    assert told.exit_code == 0
    assert "33.3 %" in told.stdout
    assert "What history suggests" in told.stdout
    assert "1/6 sales/raw_data 2026-01" in told.stderr


def test_another_bound_is_tried_on_the_same_history(shop: Shop):
    asked = ("sales", "--rule", "row_count", "--what-if", "row_count: >= 100", "--json")
    found = json.loads(shop.ask(*asked).stdout)
    assert [rule["rule"] for rule in found["rules"]] == ["row_count"]
    assert found["what_if"]["failed"] == []
    assert found["what_if"]["evaluated"] == 6


def test_it_writes_nothing(shop: Shop):
    before = {table: len(states) for table, states in shop.lake.states.items()}
    assert shop.ask("sales").exit_code == 0
    assert {table: len(states) for table, states in shop.lake.states.items()} == before


def test_a_broken_contract_is_found_where_it_happened(shop: Shop):
    bad = sales("2026-03").with_columns(pl.col("amount") * -1)
    shop.lake.write("sales/raw_data", bad, partition="2026-03")
    rules = {rule["rule"]: rule for rule in json.loads(shop.ask("sales", "--json").stdout)["rules"]}
    assert rules["contract"]["failed"] == ["2026-03"]
    assert rules["row_count"]["not_reached"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "declared are: returns, sales, stores"),
        (("sales", "--from", "2027-01"), "stored are 2026-01 to 2026-06"),
        (("sales", "--rule", "typo"), "there is no rule 'typo'"),
        (("sales", "--what-if", "drift"), "--what-if reads like"),
        (("sales", "--what-if", "drift: very much"), "drift reads like"),
        (("returns",), "sales/features is empty: materialize it first"),
    ],
)
def test_what_cannot_be_answered_is_bad_usage(shop: Shop, arguments: tuple[str, ...], said: str):
    told = shop.ask(*arguments)
    assert told.exit_code == 2
    assert said in told.stderr
