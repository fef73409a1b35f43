"""A rollout that looks at the answers: agreement of a shadow, and errors on labels that came in time."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mlcicd_assets.ml.catalogue import DeclarationError, load_all
from resources.protocols import ResourceError
from tests.fakes.catalogues import write_catalogue
from tests.fakes.releases import MODEL
from tests.fakes.rollouts import Stage

SHADOW = {"strategy": "shadow", "shadow": {"bake": "60s"}, "error_limit": 1}
CANARY = {"strategy": "canary", "weights": [50, 100], "error_limit": 1, "minimum_labelled": 50}


@pytest.fixture(scope="session")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return write_catalogue(tmp_path_factory.mktemp("declared") / "defs").models[MODEL]


@pytest.fixture
def lane(declared: Any) -> Any:
    dataset = declared.data.dataset.model_copy(update={"keys": ["order_id"]})
    return replace(declared, data=replace(declared.data, dataset=dataset))


def begun(lane: Any, **rollout: Any) -> Stage:
    """Version 2 in its first step, with traffic."""
    stage = Stage(lane, **rollout)
    stage.champion_of(1)
    stage.begin(2)
    while not (stage.state.phase == "baking" and not stage.state.pending):
        stage.tick()
    stage.tick()
    return stage


def both(stage: Stage, agreeing: int, differing: int, prefix: str = "r") -> None:
    """Copies of the same requests, of which some get another label from the shadow."""
    ids = [f"{prefix}{n}" for n in range(agreeing + differing)]
    stage.predictions.answer(1, stage.now, dict.fromkeys(ids, "0"))
    stage.predictions.answer(2, stage.now, {r: "0" if n < agreeing else "1" for n, r in enumerate(ids)})


def findings(stage: Stage) -> dict[str, Any]:
    assert stage.state.analysis is not None
    return {one.name: one for one in stage.state.analysis.findings}


def test_a_shadow_that_agrees_is_promoted_and_the_share_is_told(lane: Any) -> None:
    stage = begun(lane, **SHADOW, slo={"agreement": ">= 0.98"})
    both(stage, 199, 1)

    stage.traffic()
    stage.tick(61)

    assert stage.state.phase in {"promoting", "watching"}
    found = findings(stage)["agreement"]
    assert (found.outcome, found.value, found.requests) == ("passed", 0.995, 200)


def test_a_shadow_that_disagrees_is_taken_back(lane: Any) -> None:
    stage = begun(lane, **SHADOW, slo={"agreement": ">= 0.98"})
    both(stage, 160, 40)

    stage.traffic()
    stage.tick(15)

    assert stage.state.phase == "rolling_back"
    assert "160 of 200 rows have the champion's label" in stage.state.reason


def test_too_few_joined_rows_wait(lane: Any) -> None:
    stage = begun(lane, **SHADOW, slo={"agreement": ">= 0.98"})
    both(stage, 20, 0)

    stage.traffic()
    stage.tick(61)

    assert stage.state.phase == "baking"
    assert findings(stage)["agreement"].outcome == "inconclusive"


@pytest.mark.parametrize("broken", [None, ResourceError("the disk is gone")])
def test_a_log_that_says_nothing_is_a_failure_to_measure(lane: Any, broken: Exception | None) -> None:
    stage = begun(lane, **SHADOW, slo={"agreement": ">= 0.98"})
    stage.predictions.broken = broken

    for _ in range(2):
        stage.traffic()
        stage.tick(15)

    assert stage.state.phase == "rolling_back"
    assert "could not be measured" in stage.state.reason


def test_what_nobody_asked_for_is_told_and_stops_nothing(lane: Any) -> None:
    stage = begun(lane, **SHADOW)
    both(stage, 100, 100)

    stage.traffic()
    stage.tick(61)

    assert stage.state.phase != "rolling_back"
    assert findings(stage)["agreement"].bound == "only told"
    assert "no labels yet" in findings(stage)["labelled_error"].message or stage.lake.states == {}


def labelled(stage: Stage, wrong: dict[int, int], rows: int = 300, late: float = 5) -> None:
    """Each version answered its own requests, some of them wrongly; the labels come a moment later."""
    keys = {version: [f"{version}-{n}" for n in range(rows)] for version in wrong}
    for version, ids in keys.items():
        answers = {key: "1" if n < wrong[version] else "0" for n, key in enumerate(ids)}
        stage.predictions.answer(version, stage.now, answers, {key: {"order_id": key} for key in ids})
    every = [key for ids in keys.values() for key in ids]
    when = (stage.now + timedelta(seconds=late)).replace(tzinfo=None)
    table = {"_order_id": every, "_time": [when] * len(every), "_label": [0] * len(every)}
    stage.lake.write("orders/features", pl.DataFrame(table, schema_overrides={"_label": pl.Int8}))


def test_a_canary_that_is_wrong_more_often_is_taken_back(lane: Any) -> None:
    stage = begun(lane, **CANARY)
    labelled(stage, {1: 15, 2: 60})

    stage.traffic()
    stage.tick(15)

    assert stage.state.phase == "rolling_back"
    assert "mean error 0.2 on 300 labelled rows, the champion's 0.05 on 300" in stage.state.reason


def test_a_canary_that_is_as_often_right_goes_on(lane: Any) -> None:
    stage = begun(lane, **CANARY, slo={"labelled": "required"})
    labelled(stage, {1: 15, 2: 17})

    stage.traffic()
    stage.tick(61)

    assert stage.state.phase == "promoting"
    assert findings(stage)["labelled_error"].value == pytest.approx(17 / 300)


def test_labels_that_are_required_are_waited_for(lane: Any) -> None:
    stage = begun(lane, **CANARY, slo={"labelled": "required"})
    labelled(stage, {1: 0, 2: 0}, late=-3600)  # known before: they may have been learned from

    stage.traffic()
    stage.tick(61)

    assert stage.state.phase == "baking"
    assert "no labels yet" in findings(stage)["labelled_error"].message


def test_without_keys_in_the_log_it_is_said(declared: Any) -> None:
    stage = begun(declared, **CANARY)

    stage.traffic()
    stage.tick(61)

    assert stage.state.phase == "promoting"
    assert "declares no keys" in findings(stage)["labelled_error"].message


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        ("{strategy: canary, slo: {agreement: '>= 0.98'}}", "slo.agreement is of a shadow"),
        ("{strategy: shadow, slo: {agreement: '<= 0.98'}}", "a least share reads like"),
        ("{strategy: shadow, slo: {agreement: '>= 0.98'}}\n  log: null", "'log' is null"),
        ("{slo: {labelled: required}}", "needs a step to wait in"),
        ("{strategy: canary, slo: {labelled: required}}", "declares no keys"),
    ],
)
def test_what_cannot_be_measured_is_refused_when_it_is_declared(
    tmp_path: Path, rollout: str, said: str
) -> None:
    write_catalogue(tmp_path)
    path = tmp_path / MODEL / "defs.yaml"
    path.write_text(f"{path.read_text()}  rollout: {rollout}\n")
    with pytest.raises(DeclarationError, match=said):
        load_all(tmp_path)
