"""What is written down of predictions: whole, once, bounded, and without what is personal."""

import zlib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcicd_assets.ml.artifact.scoring import Predictions
from mlcicd_assets.ml.prediction_logging import PredictionLog as Declared
from mlcicd_assets.ml.prediction_logging import extra_keys, recorded_columns
from mlcicd_assets.serving import log_files
from mlcicd_assets.serving.prediction_log import DROPPED, Entry, PredictionLog
from resources.compaction import compact
from resources.lake import DeltaLake
from resources.predictions import PredictionFolder

COLUMNS = ["amount", "email", "name"]


def entry(request_id: str = "r1", rows: int = 1, **more: Any) -> Entry:
    records = pl.DataFrame(
        {"amount": [float(i) for i in range(rows)], "email": ["a@b.c"] * rows, "name": [None] * rows},
        schema_overrides={"name": pl.String},
    )
    scores = np.array([[0.75, 0.25]] * rows, dtype=np.float32)
    values = {"client_id": None, "role": "live", "at": 1_800_000_000.5, "seconds": 0.002, **more}
    return Entry(request_id, records=records, predictions=Predictions(scores, np.array([0] * rows)), **values)


def make(serving: Path, *, key: bytes | None = b"key", version: int = 1, **declared: Any) -> PredictionLog:
    personal = declared.pop("personal", {})
    folder = serving / "predictions" / "production" / "m" / str(version)
    settings = Declared(**declared).settings(personal)
    return PredictionLog(folder, settings, key, COLUMNS, environment="production", model="m", version=version)


def read(serving: Path) -> pl.DataFrame:
    return PredictionFolder(serving).scan("m").collect()


def dropped(reason: str) -> float:
    return float(DROPPED.labels(reason)._value.get())


def test_every_row_is_recorded_with_who_asked_and_what_was_answered(tmp_path: Path) -> None:
    log = make(tmp_path)
    log.record(entry("r1", rows=2, client_id="mine"))
    log.record(entry("r2", role="shadow"))
    log.flush()
    found = read(tmp_path)
    assert found.select("request_id", "client_id", "row", "role").rows() == [
        ("r1", "mine", 0, "live"),
        ("r1", "mine", 1, "live"),
        ("r2", None, 0, "shadow"),
    ]
    first = found.row(0, named=True)
    assert (first["score"], first["label"], first["version"], first["environment"]) == (
        0.25,
        "0",
        1,
        "production",
    )
    assert first["at"].isoformat() == "2027-01-15T08:00:00.500000+00:00"
    assert first["latency_ms"] == pytest.approx(2)
    assert found["inputs"].struct.field("amount").to_list() == [0.0, 1.0, 0.0]


def test_a_number_is_recorded_as_it_is(tmp_path: Path) -> None:
    log = make(tmp_path)
    one = entry()
    log.record(Entry(**{**vars(one), "predictions": Predictions(np.array([12.5], dtype=np.float32))}))
    log.flush()
    assert read(tmp_path).select("score", "label").rows() == [(12.5, None)]


def test_personal_columns_are_hashed_with_the_key_or_left_out(tmp_path: Path) -> None:
    log = make(tmp_path, personal={"email": "hash"}, omit=["name"])
    log.record(entry())
    log.flush()
    inputs = read(tmp_path)["inputs"].struct.unnest()
    assert inputs.columns == ["amount", "email"]
    hashed = inputs["email"][0]
    assert "a@b.c" not in "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*.parquet"))
    other = make(tmp_path / "other", key=b"another", personal={"email": "hash"})
    other.record(entry())
    other.flush()
    assert hashed != read(tmp_path / "other")["inputs"].struct.field("email")[0]
    assert len(hashed) == 32


def test_what_is_missing_stays_missing_when_hashed(tmp_path: Path) -> None:
    log = make(tmp_path, hash=["name"])
    log.record(entry())
    log.flush()
    assert read(tmp_path)["inputs"].struct.field("name").to_list() == [None]


def test_without_a_key_nothing_that_must_be_hashed_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no key"):
        make(tmp_path, key=None, hash=["email"])


@pytest.mark.parametrize("field", ["hash", "omit", "columns"])
def test_a_misspelt_column_is_refused_and_not_recorded_in_the_clear(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValueError, match="log names emial; the model takes amount, email, name"):
        make(tmp_path, **{field: ["emial"]})  # type: ignore[arg-type]


def test_what_is_personal_in_the_dataset_need_not_be_an_input(tmp_path: Path) -> None:
    log = make(tmp_path, personal={"passport": "hash", "email": "omit"})
    log.record(entry())
    log.flush()
    assert read(tmp_path)["inputs"].struct.unnest().columns == ["amount", "name"]


def test_no_columns_leave_score_and_label(tmp_path: Path) -> None:
    log = make(tmp_path, columns=[])
    log.record(entry())
    log.flush()
    assert "inputs" not in read(tmp_path).columns


@given(ids=st.lists(st.uuids().map(str), min_size=1, max_size=50, unique=True))
def test_champion_and_shadow_sample_the_same_requests(
    ids: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sample")
    logs = [make(folder, version=version, sample=0.5) for version in (1, 2)]
    for log in logs:
        for request_id in ids:
            log.record(entry(request_id))
        log.flush()
    kept = {request_id for request_id in ids if zlib.crc32(request_id.encode()) < 2**31}
    found = read(folder)
    for version in (1, 2):
        assert set(found.filter(pl.col("version") == version)["request_id"]) == kept


def test_a_full_buffer_drops_and_counts(tmp_path: Path) -> None:
    log, before = make(tmp_path, buffer=5), dropped("buffer full")
    for number in range(4):
        log.record(entry(f"r{number}", rows=2))
    log.flush()
    assert dropped("buffer full") - before == 4
    assert sorted(read(tmp_path)["request_id"].unique()) == ["r0", "r1"]
    log.record(entry("later"))
    log.flush()
    assert "later" in read(tmp_path)["request_id"]


def test_a_folder_that_cannot_be_written_costs_rows_and_nothing_else(tmp_path: Path) -> None:
    log, before = make(tmp_path), dropped("not written")
    (tmp_path / "predictions").write_text("a file where the folder should be")
    log.record(entry(rows=3))
    log.flush()
    assert dropped("not written") - before == 3
    (tmp_path / "predictions").unlink()
    log.record(entry("after"))
    log.flush()
    assert read(tmp_path)["request_id"].to_list() == ["after"]


def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    log = make(tmp_path, flush="1h")
    log.start()
    log.record(entry())
    log.close()
    assert read(tmp_path).height == 1


def test_many_flushes_become_few_files_and_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    log = make(tmp_path)
    for number in range(130):
        log.record(entry(f"r{number}"))
        log.flush()
    assert read(tmp_path)["request_id"].to_list() == [f"r{number}" for number in range(130)]
    assert len(list(log.folder.glob("*.parquet"))) == 12


def test_parts_that_a_kill_left_beside_their_merged_file_do_not_count(tmp_path: Path) -> None:
    log = make(tmp_path)
    for number in range(3):
        log.record(entry(f"r{number}"))
        log.flush()
    kept = {path.name: path.read_bytes() for path in log.folder.glob("*.parquet")}
    log_files.merge(log.folder, log_files.listed(log.folder))
    for name, content in kept.items():
        (log.folder / name).write_bytes(content)
    assert len(log_files.listed(log.folder)) == 1
    assert read(tmp_path)["request_id"].to_list() == ["r0", "r1", "r2"]


def test_what_is_too_much_goes_oldest_first(tmp_path: Path) -> None:
    log = make(tmp_path)
    for number in range(4):
        log.record(entry(f"r{number}"))
        log.flush()
    size = max(path.stat().st_size for path in log.folder.glob("*.parquet"))
    assert log_files.expire(log.folder, keep_s=3_600, max_bytes=2 * size) == 2
    assert read(tmp_path)["request_id"].to_list() == ["r2", "r3"]
    assert log_files.expire(log.folder, keep_s=-1, max_bytes=10**9) == 2


def test_nothing_recorded_is_an_empty_table(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert found.height == 0
    assert {"request_id", "at", "role", "score", "label", "version"} <= set(found.columns)


def test_a_day_of_the_log_goes_into_the_lake_once(tmp_path: Path) -> None:
    log = make(tmp_path, hash=["email"])
    log.record(entry("r1", rows=2))
    log.flush()
    lake, day = DeltaLake(str(tmp_path / "lake")), date(2027, 1, 15)
    first, again = (compact(PredictionFolder(tmp_path), lake, "m", day) for _ in range(2))
    assert first is not None
    assert again == first
    found = lake.scan("m/predictions", partitions=["2027-01-15"]).collect()
    assert found["request_id"].to_list() == ["r1", "r1"]
    assert found["input_amount"].to_list() == [0.0, 1.0]
    assert compact(PredictionFolder(tmp_path), lake, "m", date(2027, 1, 16)) is None


def keys_of(**declared: Any) -> tuple[list[str], dict[str, bool]]:
    settings = Declared(**declared).settings({"email": "hash"}, ["order_id", "amount"])
    return extra_keys(settings, COLUMNS), recorded_columns(settings, COLUMNS)


def test_keys_that_the_model_does_not_take_are_recorded_beside_its_inputs() -> None:
    extra, recorded = keys_of()
    assert extra == ["order_id"]
    assert recorded == {"amount": False, "email": True, "name": False, "order_id": False}


@pytest.mark.parametrize("declared", [{"columns": []}, {"omit": ["order_id"]}])
def test_keys_that_are_left_out_are_not_asked_for(declared: dict[str, Any]) -> None:
    extra, recorded = keys_of(**declared)
    assert extra == []
    assert "order_id" not in recorded
