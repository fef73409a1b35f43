"""Code in the plan: what must be checked, what it holds back, and what it leaves alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from mlcicd_assets.automation.blueprint import Blueprint, load_blueprint
from mlcicd_assets.automation.planning import next_run, preview
from mlcicd_assets.automation.staleness import Status, assess
from mlcicd_assets.codebase.areas import CodeShape, area_contents, check_fingerprint, tree_content, watched
from mlcicd_assets.codebase.standing import check_asset
from mlcicd_assets.ml.catalogue import load_all
from resources.protocols import Materialization
from tests.fakes.catalogues import write_catalogue

CODE = "type: mlcicd_assets.CodeBase\nattributes: {owner: 'team:x', checks: [lock, ruff]}\n"
FILES = {"shop/a.py": "1", "pyproject.toml": "1", "README.md": "1"}


class World:
    """Nothing has been made but the code's checks."""

    def __init__(self, folder: Path):
        write_catalogue(folder)
        (folder / "code").mkdir()
        (folder / "code" / "defs.yaml").write_text(CODE)
        self.blueprint = Blueprint.of(load_all(folder))
        assert self.blueprint.code
        self.shape: CodeShape = self.blueprint.code
        self.files = dict(FILES)
        self.records: dict[str, Materialization] = {}
        self.landed = {"shops": {None: "f"}, "orders": {"2026-01": "f"}}
        self.checked()

    def checked(self, **failures: str) -> None:
        areas = area_contents(self.shape, self.files)
        made = Materialization(
            "source_code", None, "c", areas, tree_content(areas), "2026-01-01T00:00:00+00:00", "r", 0.1
        )
        self.records["source_code"] = made
        for check in self.shape.checks:
            self.records[check] = replace(
                made,
                asset=check_asset(check),
                code=check_fingerprint(check, self.shape, areas),
                inputs=watched(check, areas),
                failure=failures.get(check, ""),
                seconds=2.0,
            )

    def statuses(self) -> list[Status]:
        return assess(self.blueprint, self.records.values(), self.landed, {}, self.files)

    def status(self, asset: str) -> Status:
        return next(one for one in self.statuses() if one.asset == asset)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "defs")


def test_checked_code_is_fresh_and_comes_first(world: World):
    assert world.statuses()[0].name == "source_code"
    assert world.status("source_code").state == "fresh"


def test_a_changed_file_makes_only_its_checks_due(world: World):
    world.files["shop/a.py"] = "2"
    found = world.status("source_code")
    assert (found.state, found.reason) == ("stale", "python changed: ruff; unchanged: lock")
    assert found.seconds == 2.0


def test_a_file_that_no_check_watches_makes_nothing_due(world: World):
    world.files["README.md"] = "2"
    assert world.status("source_code").state == "fresh"


def test_never_checked_code_is_stale_and_its_records_alone_are_not_enough(world: World):
    del world.records["source_code"]
    assert world.status("source_code").reason == "never materialized"
    world.records.clear()
    assert "never checked: lock, ruff" in world.status("source_code").reason


def test_stale_code_runs_with_the_first_data_and_before_any_model(world: World):
    world.files["shop/a.py"] = "2"
    runs = list(preview(world.blueprint, world.statuses()))
    assert runs[0].assets[0] == "source_code"
    assert "shop_risk/trained_model" in runs[-1].assets
    assert "source_code" not in runs[-1].assets


def test_failed_code_holds_models_and_leaves_data_alone(world: World):
    world.checked(ruff="1 to mend")
    assert world.status("source_code").state == "held"
    found = world.status("shop_risk/trained_model")
    assert found.state == "held"
    assert "source_code is held by failed check: ruff: 1 to mend" in found.reason
    planned = next_run(world.blueprint, world.statuses())
    assert planned
    assert not [asset for asset in planned.assets if "shop_risk" in asset or asset == "source_code"]


def test_several_failed_checks_are_told_by_name(world: World):
    world.checked(ruff="1 to mend", lock="2 to mend")
    assert world.status("source_code").reason.startswith("failed checks: lock, ruff")


def test_the_blueprint_keeps_the_code_base(world: World, tmp_path: Path):
    again = Blueprint.parse(world.blueprint.text())
    assert again.code == world.shape
    assert load_blueprint(tmp_path / "kept.json", tmp_path / "defs").code == world.shape
