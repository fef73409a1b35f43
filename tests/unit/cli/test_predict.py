"""`mlcicd predict` over real HTTP."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving.client import Answer
from tests.fakes.packages import records


@pytest.fixture
def serving(world: Any) -> Any:
    world.champion()
    world.validated()
    return world


def test_the_example_is_the_last_validated_record(serving: Any, mlcicd: Any) -> None:
    answer = mlcicd.json(serving, "predict", "shop_risk", "--example")

    last = serving.lake.scan("orders/validated_data").collect().tail(1)
    expected = Scorer.load(serving.made.folder).predict(last)
    assert last["at"].item() == records(20)["at"].max()
    assert answer["version"] == "1"
    assert np.allclose(answer["probabilities"], expected.probabilities, atol=1e-6)
    assert answer["labels"] == expected.labels.tolist()


def test_people_read_score_label_and_version(serving: Any, mlcicd: Any) -> None:
    result = mlcicd(serving, "predict", "shop_risk", "--example")

    assert result.exit_code == 0, result.stderr
    assert "answered by shop_risk version 1" in result.stdout
    assert "score" in result.stdout


def test_a_row_is_given_as_json(serving: Any, mlcicd: Any) -> None:
    row = {"at": "2026-01-05T10:00:00", "amount": 12, "shop": "a"}

    answer = mlcicd.json(serving, "predict", "shop_risk", "--row", json.dumps(row))

    assert len(answer["labels"]) == 1


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_scores(serving: Any, mlcicd: Any, tmp_path: Path, suffix: str) -> None:
    frame = records(5)
    file = tmp_path / f"records.{suffix}"
    write = {
        "json": frame.write_json,
        "jsonl": frame.write_ndjson,
        "csv": frame.write_csv,
        "parquet": frame.write_parquet,
    }[suffix]
    write(file)

    answer = mlcicd.json(serving, "predict", "shop_risk", "--file", str(file))

    expected = Scorer.load(serving.made.folder).predict(frame)
    assert np.allclose(answer["probabilities"], expected.probabilities, atol=1e-6)


def test_many_rows_are_cut_for_people_only(serving: Any, mlcicd: Any, tmp_path: Path) -> None:
    records(25).write_parquet(tmp_path / "records.parquet")

    result = mlcicd(serving, "predict", "shop_risk", "--file", str(tmp_path / "records.parquet"))

    assert "and 5 more rows" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give one of --file, --row and --example"),
        (["--row", "{}", "--example"], "give one of --file, --row and --example"),
        (["--row", "{amount: 1}"], "--row: not JSON"),
        (["--row", "[1]"], "a record is a JSON object"),
        (["--file", "records.xlsx"], "--file ends in .json"),
        (["--file", "missing.parquet"], "missing.parquet: cannot be read"),
        (["--example", "--environment", "test"], "staging or production, not 'test'"),
        (["--row", '{"amount": "many", "at": "2026-01-05T10:00:00"}'], "amount"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    serving: Any, mlcicd: Any, arguments: list[str], told: str
) -> None:
    result = mlcicd(serving, "predict", "shop_risk", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing_served_names_the_remedy(world: Any, mlcicd: Any) -> None:
    world.validated()

    result = mlcicd(world, "predict", "shop_risk", "--example")

    assert result.exit_code == 2
    assert result.stderr == "mlcicd: production is not serving; start it with 'mlcicd serve start'\n"


def test_times_with_an_offset_travel_as_text() -> None:
    from mlcicd_assets.cli.predict import _as_sent
    from mlcicd_assets.ml.artifact.package import Column

    frame = pl.DataFrame({"at": ["2026-01-05T10:00:00Z", None]}).with_columns(
        pl.col("at").str.to_datetime(time_zone="UTC")
    )

    sent = _as_sent(frame, [Column(name="at", dtype="String")])

    assert sent["at"].to_list() == ["2026-01-05T10:00:00+00:00", None]


@pytest.mark.parametrize(
    ("answer", "shown", "plain"),
    [
        (Answer(np.float32([41.25]), None, "1"), "41.25", {"version": "1", "values": [41.25]}),
        (
            Answer(np.float32([[0.25, 0.5, 0.25]]), np.array(["dog"]), "1"),
            "dog",
            {"version": "1", "probabilities": [[0.25, 0.5, 0.25]], "labels": ["dog"]},
        ),
    ],
    ids=["a number", "one of many classes"],
)
def test_each_task_is_shown_in_its_own_terms(
    serving: Any,
    mlcicd: Any,
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    shown: str,
    plain: dict[str, Any],
) -> None:
    monkeypatch.setattr("mlcicd_assets.cli.predict.ask", lambda *_: answer)

    assert mlcicd.json(serving, "predict", "shop_risk", "--example") == plain
    assert shown in mlcicd(serving, "predict", "shop_risk", "--example").stdout
