"""What is particular to the lake on Delta tables: types, races, kills and folders that refuse."""

import os
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from resources.lake import DeltaLake
from resources.protocols import ResourceError

TABLE = "flights/raw_data"


@pytest.fixture
def lake(tmp_path: Path) -> DeltaLake:
    return DeltaLake(str(tmp_path / "lake"))


def frame(**columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame(columns)


def test_whole_numbers_fit_where_fractions_are_kept(lake: DeltaLake):
    lake.write(TABLE, frame(precip=[0.5]), partition="a")
    lake.write(TABLE, frame(precip=[1, 0]), partition="b")

    read = lake.scan(TABLE, partitions=["b"]).collect()["precip"]

    assert (read.dtype, read.to_list()) == (pl.Float64, [0.0, 1.0])


def test_fractions_widen_a_table_of_whole_numbers(lake: DeltaLake):
    first = lake.write(TABLE, frame(precip=[0, 1], note=["x", None]), partition="a")
    second = lake.write(TABLE, frame(precip=[3], note=["y"]), partition="b")

    lake.write(TABLE, frame(precip=[0.5], note=["z"]), partition="c")

    read = lake.scan(TABLE).collect()
    assert sorted(read.rows(), key=str) == [(0.0, "x"), (0.5, "z"), (1.0, None), (3.0, "y")]
    kept = lake.versions(TABLE)
    assert (kept["a"], kept["b"]) == (first, second)  # the same content, so nothing of theirs is new
    assert lake.write(TABLE, frame(precip=[0, 1], note=["x", None]), partition="a") == first


def test_a_column_of_another_kind_is_refused_and_changes_nothing(lake: DeltaLake):
    lake.write(TABLE, frame(delay=[1, 2]), partition="2013-01")
    before = lake.versions(TABLE)

    with pytest.raises(ResourceError, match=r"flights/raw_data 2013-02: column 'delay' is .*String.*Int64"):
        lake.write(TABLE, frame(delay=["late"]), partition="2013-02")

    assert lake.versions(TABLE) == before


def test_a_column_without_values_fits_every_type(lake: DeltaLake):
    lake.write(TABLE, frame(delay=[1, 2], gust=[None, None]), partition="a")
    lake.write(TABLE, frame(delay=[None], gust=[30.5]), partition="b")

    assert lake.scan(TABLE).collect().rows() == [(1, None), (2, None), (None, 30.5)]


def test_a_table_of_one_partition_may_change_its_types(lake: DeltaLake):
    lake.write(TABLE, frame(delay=[1]), partition="a")

    lake.write(TABLE, frame(delay=["late"]), partition="a")

    assert lake.scan(TABLE).collect()["delay"].to_list() == ["late"]


def test_a_dataset_that_gets_partitions_leaves_its_old_rows_behind(lake: DeltaLake):
    lake.write(TABLE, frame(a=[1]))

    lake.write(TABLE, frame(a=[2]), partition="x")
    lake.write(TABLE, frame(a=[3]), partition="y")

    assert set(lake.versions(TABLE)) == {"x", "y"}


def test_columns_of_the_lake_are_refused(lake: DeltaLake):
    with pytest.raises(ResourceError, match="keeps _stamp for itself; rename it"):
        lake.write(TABLE, frame(_stamp=[1]))


def test_columns_that_no_table_keeps_are_named(lake: DeltaLake):
    took = pl.DataFrame({"took": pl.Series([1], dtype=pl.Duration)})

    with pytest.raises(ResourceError, match="flights/raw_data 2013-01: column 'took' is Duration"):
        lake.write(TABLE, took, partition="2013-01")


def test_writers_of_different_partitions_all_succeed(lake: DeltaLake):
    keys = [f"p{n}" for n in range(8)]

    with ThreadPoolExecutor(8) as pool:  # the table does not exist yet: creating it is a race as well
        written = list(pool.map(lambda key: lake.write(TABLE, frame(a=[key]), partition=key), keys))

    assert lake.scan(TABLE).collect()["a"].to_list() == keys
    assert lake.versions(TABLE) == {one.partition: one for one in written}
    assert sorted(one.version for one in written) == list(range(8))


def test_of_two_writers_to_one_partition_one_wins_whole(lake: DeltaLake):
    lake.write(TABLE, frame(a=["other"]), partition="other")
    contents = [frame(a=[f"writer {n}"] * 50, b=list(range(50))) for n in range(6)]

    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda rows: lake.write(TABLE, rows, partition="p"), contents))

    last = max(written, key=lambda one: one.version)
    read = lake.scan(TABLE, partitions=["p"]).collect()
    assert lake.versions(TABLE)["p"] == last
    assert read.height == 50
    assert read["a"].n_unique() == 1
    assert read["a"][0] == f"writer {written.index(last)}"


def test_versions_survive_checkpoints_compaction_and_restore(lake: DeltaLake):
    for number in range(60):  # past two checkpoints
        lake.write(TABLE, frame(a=[number]), partition=f"p{number % 3}")
    before = lake.versions(TABLE)
    table = DeltaTable(f"{lake.uri}/{TABLE}")

    table.optimize.compact()
    assert lake.versions(TABLE) == before

    table.restore(1)
    assert {key: one.version for key, one in lake.versions(TABLE).items()} == {"p0": 0, "p1": 1}


def test_a_writer_killed_at_any_moment_leaves_what_was_there(lake: DeltaLake):
    lake.write(TABLE, frame(a=[1], b=["before"]), partition="p")
    program = textwrap.dedent(
        f"""
        import polars as pl
        from resources.lake import DeltaLake
        lake = DeltaLake({lake.uri!r})
        print("ready", flush=True)
        for number in range(10_000):
            rows = pl.DataFrame({{"a": [number] * 20_000, "b": ["during"] * 20_000}})
            lake.write({TABLE!r}, rows, partition="p")
        """
    )

    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path.cwd())
        assert process.stdout
        process.stdout.readline()
        version = lake.table_version(TABLE)
        while lake.table_version(TABLE) < version + 2:
            assert process.poll() is None
        process.kill()
        process.wait()
        process.stdout.close()

        read = lake.scan(TABLE, partitions=["p"]).collect()
        claimed = lake.versions(TABLE)["p"]
        assert read.height == claimed.rows == 20_000
        assert read["a"].n_unique() == 1
        lake.write("check", read, partition="p")
        assert lake.versions("check")["p"].content == claimed.content  # hash and rows never disagree


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    lake = DeltaLake(str(tmp_path / "file" / "lake"))

    with pytest.raises(ResourceError, match=r"the lake at .*/file/lake cannot be .*MLCICD_LAKE_URI"):
        lake.write(TABLE, frame(a=[1]))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_read_only_folder_is_one_clear_error_for_other_users():
    program = textwrap.dedent(
        """
        import os, sys
        import deltalake, polars as pl
        from resources.lake import DeltaLake
        from resources.protocols import ResourceError
        DeltaLake(sys.argv[1] + "/own").write("t", pl.DataFrame({"a": [1]}))
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        try:
            DeltaLake(sys.argv[1] + "/not mine").write("t", pl.DataFrame({"a": [1]}))
        except ResourceError as error:
            print(error)
        """
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        Path(folder).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", program, folder], capture_output=True, text=True, cwd=Path.cwd()
        )

    assert "cannot be written" in done.stdout, done.stderr
    assert "make it writable or choose another with MLCICD_LAKE_URI" in done.stdout


def test_a_damaged_table_is_one_clear_error(lake: DeltaLake):
    lake.write(TABLE, frame(a=[1]))
    log = next((Path(lake.uri) / TABLE / "_delta_log").glob("*.json"))
    log.write_text("{ half a com")

    with pytest.raises(ResourceError, match="flights/raw_data cannot be read"):
        lake.versions(TABLE)


def test_a_table_of_somebody_else_is_one_clear_error(lake: DeltaLake):
    frame(a=[1]).write_delta(f"{lake.uri}/{TABLE}")

    with pytest.raises(ResourceError, match="flights/raw_data is not a table of this lake: move it away"):
        lake.write(TABLE, frame(a=[2]), partition="p")


def test_credentials_are_not_shown():
    lake = DeltaLake("s3://bucket", options={"AWS_SECRET_ACCESS_KEY": "hush"})

    assert "hush" not in repr(lake)
