"""Which runs are made of what is stale, also at 3,650 partitions."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.automation.blueprint import DATA_STAGES, MODEL_STAGES, Blueprint, DatasetShape
from mlcicd_assets.automation.planning import PlannedRun, next_run, preview
from mlcicd_assets.automation.staleness import Place, Status, assess
from mlcicd_assets.ml.code.asset_code import AssetCode
from resources.protocols import Materialization

START = date(2016, 1, 1)


def days(count: int) -> list[str]:
    return [(START + timedelta(days=number)).isoformat() for number in range(count)]


def shape(name: str, partitions: str, **changes: tuple[str, ...]) -> DatasetShape:
    template = f"landing/{name}.csv" if partitions == "none" else f"landing/{name}/{{partition}}.csv"
    made = DatasetShape(
        name, partitions, START.isoformat(), template, template, DATA_STAGES[:2], references=(), lookups=()
    )
    return replace(made, **changes)


class World:
    """A daily dataset with a lookup, and a model; what runs is materialized with the content it is told."""

    def __init__(self, count: int) -> None:
        datasets = {
            "a_events": shape("a_events", "daily", stages=DATA_STAGES, lookups=("places",)),
            "places": shape("places", "none"),
        }
        assets = [shape.table(stage) for shape in datasets.values() for stage in shape.stages]
        assets += [f"model/{stage}" for stage in MODEL_STAGES]
        codes = {asset: AssetCode({"code.py:f": "1"}, {"p": "1"}) for asset in assets}
        self.blueprint = Blueprint(datasets, {"model": "a_events"}, codes)
        self.landed = {"a_events": dict.fromkeys(days(count), "f1"), "places": {None: "f1"}}
        self.records: dict[Place, Materialization] = {}
        self.runs: list[PlannedRun] = []
        self.same: set[str] = set()  # assets whose content never changes
        self.failing: dict[Place, str] = {}

    def assess(self) -> list[Status]:
        return assess(self.blueprint, self.records.values(), self.landed, {})

    def states(self, state: str) -> set[str]:
        return {status.name for status in self.assess() if status.state == state}

    def run_all(self, runs: int = 1000) -> list[PlannedRun]:
        tried: set[Place] = set()
        made: list[PlannedRun] = []
        while len(made) < runs and (planned := next_run(self.blueprint, self.assess(), tried)):
            tried |= {status.place for status in planned.statuses}
            for status in planned.statuses:
                self.make(status.place)
            made.append(planned)
        return made

    def make(self, place: Place) -> None:
        asset, partition = place
        owner, stage = asset.split("/")
        at = "" if partition is None else f"@{partition}"
        if stage == "raw_data":
            inputs = {"file": self.landed[owner][partition]}
        elif stage in DATA_STAGES:
            inputs = self.contents([f"{owner}/{DATA_STAGES[DATA_STAGES.index(stage) - 1]}{at}"])
            if stage == "features":
                inputs |= self.contents(["places/validated_data"])
        elif stage == MODEL_STAGES[0]:
            inputs = self.contents([f"a_events/features@{key}" for key in self.landed["a_events"]])
        else:
            inputs = self.contents([f"model/{MODEL_STAGES[MODEL_STAGES.index(stage) - 1]}"])
        code = self.blueprint.codes[asset]
        content = "always" if asset in self.same else str(hash(tuple(inputs.items())))
        self.records[place] = Materialization(
            asset,
            partition,
            code.version,
            inputs,
            content,
            "2030",
            "run",
            1.0,
            code.parts,
            code.parameters,
            self.failing.get(place, ""),
        )

    def contents(self, names: Iterable[str]) -> dict[str, str]:
        places = {name: (name.partition("@")[0], name.partition("@")[2] or None) for name in names}
        return {name: self.records[place].content for name, place in places.items() if place in self.records}

    def edit(self, asset: str) -> None:
        codes = {**self.blueprint.codes, asset: AssetCode({"code.py:f": "2"}, {"p": "1"})}
        self.blueprint = replace(self.blueprint, codes=codes)


def described(runs: Iterable[PlannedRun]) -> list[tuple[str, str | None]]:
    return [(" ".join(run.assets), run.partition_range) for run in runs]


def test_first_time_all_data_is_one_run_and_the_model_lane_another() -> None:
    world = World(5)

    runs = world.run_all()

    assert described(runs) == [
        (
            "a_events/raw_data a_events/validated_data places/raw_data places/validated_data "
            "a_events/features",
            "2016-01-01...2016-01-05",
        ),
        (" ".join(f"model/{stage}" for stage in MODEL_STAGES), None),
    ]
    assert world.states("stale") == set()
    assert world.run_all() == []


@pytest.mark.parametrize("count", [365, 3650])
def test_many_partitions_are_assessed_and_planned(count: int) -> None:
    world = World(count)

    assert len(world.run_all()) == 2
    assert len(world.assess()) == 3 * count + 2 + 5
    assert world.states("stale") == set()

    changed = days(count)[count // 2]
    world.landed["a_events"][changed] = "corrected"
    stale = world.states("stale")
    assert {name for name in stale if "@" in name} == {f"a_events/{stage}@{changed}" for stage in DATA_STAGES}
    assert {name for name in stale if "@" not in name} == {f"model/{stage}" for stage in MODEL_STAGES}
    assert {run.partition_range for run in world.run_all()} == {f"{changed}...{changed}", None}
    assert world.states("fresh") == {status.name for status in world.assess()}


def test_changed_content_goes_down_level_by_level() -> None:
    world = World(5)
    world.run_all()
    world.landed["a_events"]["2016-01-03"] = "corrected"

    runs = world.run_all()

    assert [run.assets for run in runs] == [[f"a_events/{stage}"] for stage in DATA_STAGES] + [
        [f"model/{stage}"] for stage in MODEL_STAGES
    ]


@pytest.mark.parametrize(
    ("same", "run"),
    [
        ("a_events/raw_data", ["a_events/raw_data"]),
        ("a_events/validated_data", ["a_events/raw_data", "a_events/validated_data"]),
        ("model/trained_model", [*(f"a_events/{stage}" for stage in DATA_STAGES), "model/trained_model"]),
    ],
)
def test_unchanged_content_stops_the_wave(same: str, run: list[str]) -> None:
    world = World(5)
    world.same = {same}
    world.run_all()
    world.landed["a_events"]["2016-01-03"] = "corrected"

    runs = world.run_all()

    assert [asset for planned in runs for asset in planned.assets] == run
    assert world.states("stale") == set()


def test_partitions_apart_from_each_other_are_runs_of_their_own() -> None:
    world = World(9)
    world.same = {"a_events/raw_data"}
    world.run_all()
    for day in ("2016-01-02", "2016-01-03", "2016-01-07"):
        world.landed["a_events"][day] = "corrected"

    assert [run.partition_range for run in world.run_all()] == [
        "2016-01-02...2016-01-03",
        "2016-01-07...2016-01-07",
    ]


def test_a_gap_in_the_calendar_is_no_range() -> None:
    world = World(5)
    del world.landed["a_events"]["2016-01-03"]

    ranges = [run.partition_range for run in world.run_all()]

    assert ranges == ["2016-01-01...2016-01-02", "2016-01-04...2016-01-05", None]


def test_a_killed_plan_goes_on_where_it_was() -> None:
    world = World(5)
    del world.landed["a_events"]["2016-01-03"]
    whole = described(World(5).run_all())
    world.run_all(runs=1)
    # when: the process is gone, and with it everything but the records
    rest = world.run_all()

    assert [run.partition_range for run in rest] == ["2016-01-04...2016-01-05", None]
    assert world.states("stale") == set()
    assert whole


def test_nothing_runs_downstream_of_a_failed_check() -> None:
    world = World(3)
    world.run_all()
    world.landed["a_events"]["2016-01-02"] = "corrected"
    world.failing = {("a_events/validated_data", "2016-01-02"): "amount: 3 below 0"}

    runs = world.run_all()

    assert [run.assets for run in runs] == [["a_events/raw_data"], ["a_events/validated_data"]]
    assert "a_events/features@2016-01-02" in world.states("held")
    assert "model/trained_model" in world.states("held")
    assert world.run_all() == []


def test_what_failed_is_not_run_twice_nor_what_is_behind_it() -> None:
    world = World(3)
    world.run_all()
    world.edit("a_events/raw_data")
    world.edit("model/trained_model")
    statuses = world.assess()

    first = next_run(world.blueprint, statuses)
    assert first is not None
    assert first.assets == ["a_events/raw_data"]
    assert next_run(world.blueprint, statuses, {status.place for status in first.statuses}) is None


def test_the_preview_is_the_longest_that_it_can_be() -> None:
    world = World(5)
    world.run_all()
    world.landed["a_events"]["2016-01-03"] = "corrected"

    foreseen = described(preview(world.blueprint, world.assess()))

    assert foreseen == described(world.run_all())


@given(
    changed=st.sets(st.sampled_from(days(8))),
    edited=st.sets(st.sampled_from([*(f"a_events/{stage}" for stage in DATA_STAGES), "model/trained_model"])),
    same=st.sets(st.sampled_from([*(f"a_events/{stage}" for stage in DATA_STAGES), "model/trained_model"])),
)
def test_whatever_changes_all_is_fresh_in_the_end_and_nothing_runs_twice(
    changed: set[str], edited: set[str], same: set[str]
) -> None:
    world = World(8)
    world.same = same
    world.run_all()
    for day in changed:
        world.landed["a_events"][day] = "corrected"
    for asset in edited:
        world.edit(asset)
    foreseen = {status.place for run in preview(world.blueprint, world.assess()) for status in run.statuses}

    runs = world.run_all()

    made = list(itertools.chain(*([status.place for status in run.statuses] for run in runs)))
    assert len(made) == len(set(made))
    assert set(made) <= foreseen
    assert world.states("stale") == set()
