"""The story for people, the proof, the export; repair, pins and retention by command."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

WHO = ("--by", "ada@example.org", "--reason", "looked at the slices")


@pytest.fixture
def served(make_world: Callable[..., Any]) -> Any:
    world = make_world()
    world.champion()
    return world


def test_a_models_history_is_told_in_sentences(served: Any, mlcicd: Any) -> None:
    result = mlcicd(served, "audit", "shop_risk")

    assert result.exit_code == 0, result.stderr
    assert "version 1 became champion, the first one" in result.stdout
    assert "champion: version 1, previous: none" in result.stdout
    assert "alias" not in result.stdout
    assert (
        "MLflow's alias champion follows: version 1" in mlcicd(served, "audit", "shop_risk", "--all").stdout
    )


def test_a_versions_story_goes_from_commit_and_data_to_traffic(served: Any, mlcicd: Any) -> None:
    told = mlcicd(served, "audit", "shop_risk", "--version", "1").stdout

    assert "shop_risk version 1" in told
    assert ": production" in told
    assert "code: commit cccccccccccc" in told
    assert "judged on: 2026-01-01 to 2026-01-03, 400 records" in told
    assert "gates: " in told
    assert told.index("trained as") < told.index("became champion")


def test_the_story_as_json(served: Any, mlcicd: Any) -> None:
    story = mlcicd.json(served, "audit", "shop_risk", "--version", "1")

    assert (story["version"], story["stage"], story["digest"]) == (1, "production", served.made.digest)
    assert [event["action"] for event in story["events"]] == ["trained", "registered", "promoted"]


def test_a_version_that_nobody_knows_is_bad_usage(served: Any, mlcicd: Any) -> None:
    result = mlcicd(served, "audit", "shop_risk", "--version", "9")

    assert result.exit_code == 2
    assert "neither ledger nor registry know version 9" in result.stderr


def test_the_proof_covers_chain_aliases_and_traffic(served: Any, mlcicd: Any) -> None:
    proof = mlcicd.json(served, "audit", "shop_risk", "--verify")

    assert proof["passed"]
    assert [step["name"] for step in proof["steps"]] == ["chain", "aliases", "traffic"]


def test_a_changed_line_is_named(served: Any, mlcicd: Any) -> None:
    engine = sa.create_engine(f"sqlite:///{served.folder}/ledger.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_no_update")
        connection.exec_driver_sql("UPDATE ledger_entries SET reason = 'better' WHERE seq = 2")

    result = mlcicd(served, "audit", "shop_risk", "--verify")

    assert result.exit_code == 1
    assert "tampered with at line 2" in result.stdout


def test_an_alias_moved_by_hand_is_refused_and_repaired(served: Any, mlcicd: Any) -> None:
    served.registry.set_alias("shop_risk", "champion", None)

    refused = mlcicd(served, "audit", "shop_risk", "--verify")
    assert refused.exit_code == 1
    assert "the alias 'champion' was moved by hand" in refused.stdout

    repaired = mlcicd(served, "repair", "shop_risk")
    assert "put back" in repaired.stdout
    assert served.registry.get("shop_risk", "champion").version == 1
    assert mlcicd(served, "audit", "shop_risk", "--verify").exit_code == 0
    actions = [line.action for line in served.ledger.entries("shop_risk")]
    assert actions.count("alias_by_hand") == 1
    assert "every alias stands" in mlcicd(served, "repair").stdout


def test_traffic_of_a_version_without_a_release_is_refused(served: Any, mlcicd: Any) -> None:
    served.serving.shares["production", "shop_risk"] = {7: 100}

    result = mlcicd(served, "audit", "shop_risk", "--verify")

    assert result.exit_code == 1
    assert "the ledger knows of no release of version 7" in result.stdout


def test_the_export_is_complete_and_harmless(served: Any, mlcicd: Any, tmp_path: Any) -> None:
    served.ledger.append("noted", "shop_risk", actor="=cmd()", reason='a "quote", and\nanother line')
    out = tmp_path / "ledger.csv"

    lines = [
        json.loads(line)
        for line in mlcicd(served, "audit", "shop_risk", "--export", "jsonl").stdout.split("\n")[:-1]
    ]
    mlcicd(served, "audit", "shop_risk", "--export", "csv", "--out", str(out))
    rows = list(csv.DictReader(io.StringIO(out.read_text())))

    entries = served.ledger.entries("shop_risk")
    assert [line["hash"] for line in lines] == [entry.hash for entry in entries]
    assert [row["hash"] for row in rows] == [entry.hash for entry in entries]
    assert rows[-1]["actor"] == "'=cmd()"
    assert rows[-1]["reason"] == 'a "quote", and\nanother line'


def test_out_without_export_is_bad_usage(served: Any, mlcicd: Any) -> None:
    assert mlcicd(served, "audit", "shop_risk", "--out", "x").exit_code == 2
