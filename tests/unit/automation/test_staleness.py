"""What is stale, and why, told from records alone."""

import itertools
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcicd_assets.automation.blueprint import MODEL_STAGES, Blueprint
from mlcicd_assets.automation.landed import landed_files
from mlcicd_assets.automation.staleness import Status, assess, partition_range, selection
from mlcicd_assets.ml.catalogue import Catalogue, load_all
from resources.protocols import LandedFile, Materialization, ResourceError
from tests.fakes.catalogues import write_catalogue

MONTHS = ["2026-01", "2026-02", "2026-03"]
STAGES = ["raw_data", "validated_data", "features"]


class World:
    """Everything materialized once; a test changes one thing and asks."""

    def __init__(self, catalogue: Catalogue, months: Iterable[str] = MONTHS):
        self.catalogue = catalogue
        self.blueprint = Blueprint.of(catalogue)
        self.landed: dict[str, dict[str | None, str]] = {"shops": {None: "f-shops"}, "orders": {}}
        self.records: dict[tuple[str, str | None], Materialization] = {}
        self.champions: dict[str, str] = {}
        self.made("shops/raw_data", None, {"file": "f-shops"})
        self.made("shops/validated_data", None, {"shops/raw_data": "shops/raw_data"})
        for month in months:
            self.landed["orders"][month] = f"f-{month}"
            self.month(month)
        self.released([f"orders/features@{month}" for month in months])

    def month(self, month: str) -> None:
        self.made("orders/raw_data", month, {"file": f"f-{month}"})
        for before, stage in itertools.pairwise(STAGES):
            beside = {"shops/validated_data": "shops/validated_data"} if stage == "features" else {}
            name = f"orders/{before}@{month}"
            self.made(f"orders/{stage}", month, {name: name, **beside})

    def released(self, features: list[str], digest: str = "d1") -> None:
        champion = self.champions.get("shop_risk", "none")
        inputs = [
            {name: name for name in features},
            {"shop_risk/trained_model": digest, "champion": champion},
            *({f"shop_risk/{stage}": digest} for stage in MODEL_STAGES[1:-1]),
        ]
        for stage, made_of in zip(MODEL_STAGES, inputs, strict=True):
            self.made(f"shop_risk/{stage}", None, made_of, content=digest)
        self.champions["shop_risk"] = digest

    def made(self, asset: str, partition: str | None, inputs: Mapping[str, str], content: str = "") -> None:
        name = asset if partition is None else f"{asset}@{partition}"
        self.records[asset, partition] = Materialization(
            asset=asset,
            partition=partition,
            code=self.blueprint.codes[asset].version,
            inputs=inputs,
            content=content or name,
            at="2026-04-01T00:00:00+00:00",
            run="run",
            seconds=0.1,
            parts=self.blueprint.codes[asset].parts,
            parameters=self.blueprint.codes[asset].parameters,
        )

    def change(self, asset: str, partition: str | None, **changes: Any) -> None:
        self.records[asset, partition] = replace(self.records[asset, partition], **changes)

    def assess(self) -> list[Status]:
        return assess(self.blueprint, self.records.values(), self.landed, self.champions)

    def edited(self, old: str, new: str, file: str) -> None:
        """Edit a file below the declarations, and read them again."""
        path = self.catalogue.models["shop_risk"].folder.parent / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.catalogue = load_all(path.parents[1])
        self.blueprint = Blueprint.of(self.catalogue)

    def stale(self) -> dict[str, str]:
        return {status.name: status.reason for status in self.assess() if status.state == "stale"}


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return write_catalogue(tmp_path / "defs")


def test_everything_is_fresh_after_everything_ran(catalogue: Catalogue) -> None:
    world = World(catalogue)

    statuses = world.assess()

    assert {status.state for status in statuses} == {"fresh"}
    assert len(statuses) == 2 + 3 * 3 + 5
    assert selection(statuses) == ""
    assert partition_range(statuses) is None


def test_nothing_landed_waits_and_names_the_file(catalogue: Catalogue) -> None:
    statuses = assess(Blueprint.of(catalogue), [], {}, {})

    by_name = {status.name: status for status in statuses}
    assert {status.state for status in statuses} == {"waiting"}
    assert by_name["shops/validated_data"].reason == "landing/shops/shops.parquet has not landed"
    assert by_name["shop_risk/deployment"].reason == "landing/orders/{partition}.parquet has not landed"
    assert selection(statuses) == ""


def test_first_landed_files_make_everything_stale(catalogue: Catalogue) -> None:
    landed = {"shops": {None: "f"}, "orders": {"2026-01": "f"}}

    statuses = assess(Blueprint.of(catalogue), [], landed, {})

    assert {(status.state, status.reason) for status in statuses} == {("stale", "never materialized")}
    assert partition_range(statuses) == "2026-01...2026-01"


def test_a_lookup_that_has_not_landed_holds_back_what_joins_it(catalogue: Catalogue) -> None:
    statuses = assess(Blueprint.of(catalogue), [], {"orders": {"2026-01": "f"}}, {})

    by_name = {status.name: status for status in statuses}
    assert by_name["orders/raw_data@2026-01"].state == "stale"
    assert by_name["orders/features@2026-01"].state == "waiting"
    assert by_name["orders/features@2026-01"].reason == "landing/shops/shops.parquet has not landed"


def test_a_newly_landed_partition_makes_its_chain_and_the_model_stale(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.landed["orders"]["2026-04"] = "f-2026-04"

    stale = world.stale()

    assert stale["orders/raw_data@2026-04"] == "never materialized"
    assert stale["shop_risk/trained_model"] == "data changed: orders/features@2026-04 is new"
    assert stale["shop_risk/evaluation_report"] == "upstream shop_risk/trained_model is stale"
    assert {name for name in stale if name.startswith("orders")} == {
        f"orders/{stage}@2026-04" for stage in STAGES
    }
    assert partition_range(world.assess()) == "2026-04...2026-04"


def test_a_partition_whose_labels_were_not_known_yet_was_seen(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.released([f"orders/features@{month}" for month in MONTHS[:2]], digest="d2")

    assert world.stale() == {}

    world.change("orders/features", "2026-03", at="2026-04-02T00:00:00+00:00")
    assert world.stale()["shop_risk/trained_model"] == "data changed: orders/features@2026-03 is new"


def test_a_partition_before_the_training_window_concerns_no_model(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.released([f"orders/features@{month}" for month in MONTHS[1:]], digest="d2")
    world.landed["orders"]["2026-01"] = "corrected"

    stale = world.stale()

    assert set(stale) == {f"orders/{stage}@2026-01" for stage in STAGES}


def test_a_changed_file_names_what_it_was_and_is(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.landed["orders"]["2026-02"] = "corrected"

    stale = world.stale()

    assert stale["orders/raw_data@2026-02"] == "data changed: file f-2026-02 → corrected"
    assert stale["orders/features@2026-02"] == "upstream orders/validated_data@2026-02 is stale"
    assert "orders/raw_data@2026-01" not in stale


def test_a_changed_upstream_content_is_named(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.change("orders/raw_data", "2026-02", content="other rows")

    stale = world.stale()

    assert stale["orders/validated_data@2026-02"] == (
        "data changed: orders/raw_data@2026-02 orders/raw_d → other rows"
    )


def test_a_changed_lookup_makes_every_partitions_features_stale(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.change("shops/validated_data", None, content="more shops")

    stale = world.stale()

    assert set(stale) == {f"orders/features@{month}" for month in MONTHS} | {
        f"shop_risk/{stage}" for stage in MODEL_STAGES
    }


def test_changed_code_is_named_and_makes_its_stage_and_what_follows_stale(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.edited("shop_risk", "another", "shop_risk/model.py")

    stale = world.stale()

    assert stale["shop_risk/trained_model"] == "code changed: shop_risk/model.py:estimator"
    assert set(stale) == {f"shop_risk/{stage}" for stage in MODEL_STAGES}


def test_changed_parameters_are_named_with_what_they_were_and_are(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.edited("train: 60d", "train: 90d", "shop_risk/defs.yaml")

    assert world.stale()["shop_risk/trained_model"] == "parameter changed: train 60d → 90d"


def test_a_gate_is_a_parameter_of_the_evaluation(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.edited(">= 0.60", ">= 0.70", "shop_risk/defs.yaml")

    stale = world.stale()

    assert stale["shop_risk/evaluation_report"] == "parameter changed: gates.roc_auc >= 0.60 → >= 0.70"
    assert "shop_risk/trained_model" not in stale


def test_a_record_from_before_parts_were_kept_tells_the_versions(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.records["shop_risk/trained_model", None] = replace(
        world.records["shop_risk/trained_model", None], code="old", parts={}, parameters={}
    )

    new = world.blueprint.codes["shop_risk/trained_model"].version
    assert world.stale()["shop_risk/trained_model"] == f"code changed: old → {new[:12]}"


def test_definitions_that_came_and_went_are_told_after_those_that_were_edited(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.edited("estimator = 'shop_risk'", "size = 2\nestimator = ['shop_risk', size]", "shop_risk/model.py")

    assert world.stale()["shop_risk/trained_model"] == (
        "code changed: shop_risk/model.py:estimator, shop_risk/model.py:size (used now)"
    )


def test_a_comment_changes_nothing(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.edited("estimator =", "# a comment\nestimator  =", "shop_risk/model.py")

    assert world.stale() == {}


def test_a_failed_check_holds_what_is_downstream_until_its_inputs_change(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.change("orders/validated_data", "2026-02", failure="amount: 3 below 0")

    held = {status.name: status.reason for status in world.assess() if status.state == "held"}

    assert held["orders/validated_data@2026-02"] == "failed check: amount: 3 below 0"
    assert held["orders/features@2026-02"] == (
        "upstream orders/validated_data@2026-02 is held by a failed check"
    )
    assert "shop_risk/trained_model" in held
    assert "orders/features@2026-01" not in held
    assert world.stale() == {}

    world.landed["orders"]["2026-02"] = "corrected"
    assert {status.state for status in world.assess()} == {"fresh", "stale"}


def test_a_failed_gate_holds_the_release_until_code_or_data_change(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.change("shop_risk/evaluation_report", None, failure="roc_auc is 0.5", content="other")

    held = {status.name for status in world.assess() if status.state == "held"}
    assert held == {f"shop_risk/{stage}" for stage in MODEL_STAGES[1:]}
    assert world.stale() == {}

    world.edited("shop_risk", "another", "shop_risk/model.py")
    assert set(world.stale()) == {f"shop_risk/{stage}" for stage in MODEL_STAGES}


def test_cost_is_what_was_recorded_or_what_its_like_took(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.change("orders/raw_data", "2026-01", seconds=7.0)
    world.landed["orders"] |= {"2026-01": "corrected", "2026-04": "new"}

    seconds = {status.name: status.seconds for status in world.assess() if status.state == "stale"}

    assert seconds["orders/raw_data@2026-01"] == 7.0
    assert seconds["orders/raw_data@2026-04"] == 0.1


def test_a_file_that_was_cleaned_away_changes_nothing(catalogue: Catalogue) -> None:
    world = World(catalogue)
    del world.landed["orders"]["2026-01"]

    assert world.stale() == {}


def test_another_champion_makes_the_comparison_stale(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.champions["shop_risk"] = "d0"

    assert world.stale()["shop_risk/evaluation_report"] == "data changed: champion none → d0"


def test_a_candidate_that_lost_stays_fresh_while_the_champion_stays(catalogue: Catalogue) -> None:
    world = World(catalogue)
    world.released([f"orders/features@{month}" for month in MONTHS], digest="d2")
    # given: d2 was evaluated against d1, and d1 still serves; what follows the evaluation was refused
    world.champions["shop_risk"] = "d1"
    for stage in MODEL_STAGES[2:]:
        world.change(f"shop_risk/{stage}", None, content="d1")
    world.records["shop_risk/registered_model", None] = replace(
        world.records["shop_risk/registered_model", None], inputs={"shop_risk/evaluation_report": "d1"}
    )

    stale = world.stale()

    assert stale["shop_risk/registered_model"] == "data changed: shop_risk/evaluation_report d1 → d2"
    assert not {"shop_risk/trained_model", "shop_risk/evaluation_report"} & set(stale)


def test_monitoring_is_never_listed(catalogue: Catalogue) -> None:
    world = World(catalogue)

    assert not [status for status in world.assess() if "monitoring" in status.asset]


def test_the_selection_names_each_asset_once(catalogue: Catalogue) -> None:
    world = World(catalogue)
    for month in ("2026-02", "2026-03"):
        world.landed["orders"][month] = "corrected"

    statuses = world.assess()

    assert selection(statuses).startswith('key:"orders/raw_data" or key:"orders/validated_data" or ')
    assert selection(statuses).count("orders/raw_data") == 1
    assert partition_range(statuses) == "2026-02...2026-03"


@settings(max_examples=30, deadline=None)
@given(changed=st.sets(st.sampled_from(MONTHS)))
def test_exactly_the_changed_partitions_and_the_model_are_stale(
    tmp_path_factory: pytest.TempPathFactory, changed: set[str]
) -> None:
    world = World(write_catalogue(tmp_path_factory.mktemp("project") / "defs"))
    for month in changed:
        world.landed["orders"][month] = "corrected"

    stale = {name for name in world.stale() if name.startswith("orders")}

    assert stale == {f"orders/{stage}@{month}" for stage in STAGES for month in changed}
    assert ("shop_risk/trained_model" in world.stale()) == bool(changed)


class Folder:
    """A landing folder in memory: keys by template."""

    def __init__(self, keys: list[str], alone: bool = True):
        self.root = Path("/nowhere")
        self._keys = keys
        self._alone = alone

    def find(self, template: str, partition: str | None) -> LandedFile:
        if partition is None and not self._alone:
            raise ResourceError(f"{template}: nothing has landed")
        return LandedFile(self.root / template, f"hash of {partition}")

    def partitions(self, template: str) -> list[str]:
        return self._keys

    def read(self, landed: LandedFile):  # type: ignore[no-untyped-def]
        raise NotImplementedError


def test_landed_files_are_the_complete_partitions_since_the_start(catalogue: Catalogue) -> None:
    # given a month before the start, one that is not over, and a file that is named otherwise
    landing = Folder(["2025-12", "2026-01", "2026-02", "readme"])

    landed = landed_files(Blueprint.of(catalogue), landing, datetime(2026, 2, 15))

    assert landed["orders"] == {"2026-01": "hash of 2026-01"}
    assert landed["shops"] == {None: "hash of None"}


def test_nothing_landed_is_no_error(catalogue: Catalogue) -> None:
    landed = landed_files(Blueprint.of(catalogue), Folder([], alone=False), datetime(2026, 2, 15))

    assert landed == {"orders": {}, "shops": {}}


def test_staleness_is_told_without_dagster() -> None:
    code = (
        "import sys, mlcicd_assets.automation.planning, mlcicd_assets.automation.landed; "
        "sys.exit(not sys.modules.keys().isdisjoint({'dagster', 'polars', 'pydantic', 'sqlalchemy', 'yaml'}))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
