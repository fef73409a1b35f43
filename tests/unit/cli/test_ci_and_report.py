"""What CI does for a change, and what it tells: on a small repository with data that has landed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mlcicd_assets.cli.app import app
from mlcicd_assets.cli.session import Session
from mlcicd_assets.ml.catalogue import load_all
from resources.git import SystemGit
from resources.landing import LandingFolder
from resources.ledger import SqlLedger
from tests.fakes.codebases import CodeBase, write_codebase
from tests.fakes.memory import MemoryLake, MemoryRecords
from tests.fakes.projects import Project
from tests.fakes.tracking import FolderTracking, MemoryRegistry

DECLARED = """
type: mlcicd_assets.CodeBase
attributes:
  owner: team:shop
  checks: [declarations, lock, ruff, feature_contract]
  lock: {unpinned: [torch]}
  sample: {rows: 1500}
"""


@dataclass
class Shop:
    """A repository at its first commit, and what the commands work with."""

    code: CodeBase
    resources: dict[str, Any]
    first: str

    def run(self, *arguments: str) -> Result:
        session = Session(
            {"MLCICD_HOME": str(self.code.root / "home")},
            catalogue=load_all(self.code.defs),
            resources=self.resources,
        )
        return CliRunner().invoke(app, list(arguments), obj=session)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    code = write_codebase(tmp_path / "shop")
    code.write("defs/code/defs.yaml", DECLARED)
    Project(code.root, code.root / "home").land()
    first = code.commit("first")
    tracking = FolderTracking(tmp_path / "runs")
    resources = {
        "git": SystemGit(code.root),
        "records": MemoryRecords(),
        "lake": MemoryLake(),
        "landing": LandingFolder(code.root / "home"),
        "ledger": SqlLedger(f"sqlite:///{tmp_path}/ledger.db"),
        "tracking": tracking,
        "registry": MemoryRegistry(tracking),
    }
    return Shop(code, resources, first)


def test_the_fast_tier_checks_what_is_due_and_tries_models_and_keeps_none(shop: Shop):
    done = shop.run("ci", "--tier", "fast", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {one["outcome"] for one in found["checks"]} == {"passed"}
    (model,) = found["models"]
    assert (model["model"], model["outcome"]) == ("returns", "passed")
    assert 1_000 < model["rows"] <= 1_500
    assert model["metrics"]["roc_auc"] > 0.5
    assert "rows of what has landed" in model["message"]
    assert shop.resources["ledger"].entries() == []

    # when nothing has changed, then no check runs, and against its own commit no model is tried
    again = shop.run("ci", "--base", shop.first, "--json")
    told = json.loads(again.stdout)
    assert {one["outcome"] for one in told["checks"]} == {"skipped"}
    assert told["models"] == []
    assert "code: nothing to check; skips declarations, lock, ruff" in again.stderr


def test_what_fails_is_told_with_its_place_and_the_report_carries_it(shop: Shop, tmp_path: Path):
    shop.code.edit("defs/sales/features.py", "import polars as pl", "import os\n\nimport polars as pl")
    shop.code.edit("defs/returns/defs.yaml", '">= 0.70"', '">= 0.75"')
    shop.code.commit("worse")

    done = shop.run("ci", "--base", shop.first, "--out", str(tmp_path / "ci.json"))
    assert done.exit_code == 1
    assert "defs/sales/features.py:2: F401" in done.stderr
    assert "FAILED ruff" in done.stderr

    told = shop.run("report", "--base", shop.first, "--results", str(tmp_path / "ci.json"))
    assert told.exit_code == 0, told.stderr
    text = told.stdout
    assert text.startswith("<!-- mlcicd-report -->")
    assert "gates.roc_auc >= 0.70 → >= 0.75" in text
    assert "| ruff | ❌ failed |" in text
    assert "defs/sales/features.py:2 | F401" in text
    assert "### Tier fast" in text
    assert "returns: nothing has been trained and evaluated here." in text
    assert text == shop.run("report", "--base", shop.first, "--results", str(tmp_path / "ci.json")).stdout


def test_a_code_only_change_leaves_data_alone_and_says_so(shop: Shop):
    shop.run("ci")
    shop.code.edit("defs/returns/model.py", "C=1.0", "C=0.5")
    lines = shop.run("stale").stdout.splitlines()
    (code,) = [line for line in lines if "source_code" in line]
    assert "models changed: declarations, ruff, feature_contract" in code
    assert "unchanged: lock" in code


def test_the_report_has_three_forms(shop: Shop, tmp_path: Path):
    found = json.loads(shop.run("report", "--base", shop.first, "--format", "json").stdout)
    assert [one["title"] for one in found["sections"]] == ["What changes", "Plan", "Code", "Models"]
    page = tmp_path / "pages" / "report.html"
    assert shop.run("report", "--base", shop.first, "--format", "html", "--out", str(page)).exit_code == 0
    assert page.read_text().startswith("<!doctype html>")


def test_a_base_that_is_not_there_is_told(shop: Shop):
    done = shop.run("report", "--base", "nowhere")
    assert done.exit_code == 2
    assert "'nowhere' has no commit in common" in done.stderr


def test_without_records_a_model_is_told_as_not_tried(shop: Shop):
    for path in (shop.code.root / "home" / "landing" / "sales").glob("*"):
        path.unlink()
    done = shop.run("ci", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["models"][0]["outcome"] == "not tried"
    assert "no records of sales are here" in done.stderr


def test_an_estimator_that_breaks_fails_the_tier(shop: Shop):
    shop.code.write("defs/returns/model.py", "def estimator():\n    raise RuntimeError('no luck')\n")
    done = shop.run("ci", "--json")
    assert done.exit_code == 1
    assert "no luck" in json.loads(done.stdout)["models"][0]["message"]
