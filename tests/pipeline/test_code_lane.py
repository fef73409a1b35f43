"""A failed check of the code blocks training, within one run and in every later one."""

from datetime import datetime

import pytest

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.automation.landed import landed_files
from mlcicd_assets.automation.planning import next_run
from mlcicd_assets.automation.staleness import Status, assess
from mlcicd_assets.ml.catalogue import load_all
from mlcicd_assets.release.run_files import VERDICT, Candidate
from mlcicd_assets.release.verdict import open_envelope
from tests.pipeline.conftest import Pipeline, failures

CODE = """
type: mlcicd_assets.CodeBase
attributes:
  owner: team:shop
  paths: [project]
  checks: [declarations, ruff, feature_contract]
"""
LANE = 'key:"source_code"'
TRAIN = 'key:"returns/trained_model"'


@pytest.fixture
def coded(pipeline: Pipeline) -> Pipeline:
    """Data up to the features, and a code base that has never been checked."""
    pipeline.project.land()
    folder = pipeline.project.defs / "code"
    folder.mkdir()
    (folder / "defs.yaml").write_text(CODE)
    (pipeline.project.root / "ruff.toml").write_text('lint.select = ["F"]\n')
    result = pipeline.materialize('group:"sales" or group:"stores"')
    assert result.success, failures(result)
    return pipeline


def statuses(pipeline: Pipeline) -> tuple[dict[str, Status], list[str]]:
    """Of the assets without partitions, and what the next run would make."""
    blueprint = Blueprint.of(load_all(pipeline.project.defs))
    landed = landed_files(blueprint, pipeline.resources["landing"], datetime(2026, 5, 2))
    files = pipeline.resources["git"].files()
    found = assess(blueprint, pipeline.resources["records"].all(), landed, {}, files)
    planned = next_run(blueprint, found)
    return {one.asset: one for one in found if one.partition is None}, planned.assets if planned else []


def test_a_failed_check_blocks_training_within_one_run_and_in_every_later_one(coded: Pipeline):
    features = coded.project.defs / "sales" / "features.py"
    good = features.read_text()
    trained = "returns/trained_model"

    # given code that was never checked, when it is trained, then it is refused
    assert "has not passed declarations: never checked" in failures(coded.materialize(TRAIN, months=None))
    assert statuses(coded)[1][:2] == ["source_code", trained]

    # given an unused import, when code and model run together, then nothing is trained
    features.write_text(f"import os\n{good}")
    result = coded.materialize(f"{LANE} or {TRAIN}", months=None)
    assert not result.success
    assert not coded.checks["ruff"].passed
    assert coded.checks["declarations"].passed
    row = coded.checks["ruff"].metadata["findings"].records[0].data
    assert (row["file"], row["line"], row["rule"]) == ("project/defs/sales/features.py", 1, "F401")
    assert coded.resources["ledger"].pointer("candidate/returns") is None

    # when the model runs alone afterwards, then it is refused, and the plan holds it
    assert "has not passed ruff: 1 to mend" in failures(coded.materialize(TRAIN, months=None))
    held, planned = statuses(coded)
    assert planned == []
    assert held["source_code"].state == "held"
    assert held[trained].state == "held"
    assert "F401" in held[trained].reason

    # when the import is taken out, then only what watches models runs, and the model is trained
    features.write_text(good)
    mended, _ = statuses(coded)
    assert mended["source_code"].state == "stale"
    assert mended[trained].behind == (("source_code", None),)
    result = coded.materialize(f"{LANE} or {TRAIN}", months=None)
    assert result.success, failures(result)
    assert coded.checks["ruff"].passed

    # and nothing of it runs again without a change
    assert coded.materialize(LANE, months=None).success
    assert "skipped" in coded.checks["feature_contract"].description
    assert statuses(coded)[0]["source_code"].state == "fresh"


def test_the_verdict_says_what_the_code_had_passed(coded: Pipeline):
    result = coded.materialize(f'{LANE} or {TRAIN} or key:"returns/evaluation_report"', months=None)
    assert result.success, failures(result)
    assert coded.checks["source_code"].passed

    run = Candidate.parse(coded.resources["ledger"].pointer("candidate/returns")).run_id
    envelope = coded.resources["tracking"].fetch(run, VERDICT, coded.project.root / "scratch").read_bytes()
    verdict = open_envelope(envelope, coded.resources["keys"].trusted_keys())
    gate = next(gate for gate in verdict.gates if gate.name == "source_code")
    assert gate.passed
    assert verdict.code.endswith(": declarations, ruff, feature_contract")

    # when one more check is declared, then what was trained before it is not enough
    path = coded.project.defs / "code" / "defs.yaml"
    path.write_text(path.read_text().replace("checks: [", "checks: [secrets, "))
    result = coded.materialize('key:"returns/registered_model"', months=None)
    assert "source_code" in failures(result)
