"""`mlcicd monitor` shows what monitoring kept, and runs nothing."""

from typing import Any

import polars as pl

from mlcicd_assets.ml.monitoring.table import episodes_frame, to_frame
from mlcicd_assets.ml.monitoring.windows import window_length
from tests.fakes.monitored import EPISODE, START, signals


def _seen(world: Any) -> None:
    world.champion()
    length = window_length("1d")
    by_window: dict[str, list[Any]] = {}
    for one in signals(days=4):
        by_window.setdefault(one.window, []).append(one)
    for window, mine in by_window.items():
        frame = to_frame(mine, length, START.replace(month=5))
        world.session.lake.write("shop_risk/monitoring", frame, partition=window)
    world.session.lake.write("shop_risk/episodes", episodes_frame([EPISODE]))


def test_it_shows_signals_windows_and_episodes(world: Any, mlcicd: Any) -> None:
    _seen(world)

    said = mlcicd(world, "monitor", "shop_risk", "--windows", "2").stdout

    assert "shop_risk, champion version 1" in said
    assert "log_amount 0.31" in said
    assert "2026-04-04" in said
    assert "2026-04-01" not in said
    assert "episode: performance of version 1 since 2026-04-21, replaced" in said


def test_as_json_for_programs(world: Any, mlcicd: Any) -> None:
    _seen(world)

    found = mlcicd.json(world, "monitor", "shop_risk", "--windows", "1")

    assert found["champion"] == 1
    assert found["signals"]["feature_drift"]["state"] == "violated"
    assert {one["window"] for one in found["windows"]} == {"2026-04-04T00:00"}
    assert found["episodes"][0]["stands"] is False


def test_as_of_an_earlier_moment(world: Any, mlcicd: Any) -> None:
    _seen(world)

    found = mlcicd.json(world, "monitor", "shop_risk", "--as-of", "2026-04-03T06:00")

    assert found["signals"]["traffic"]["window"] == "2026-04-02T00:00"
    assert "reads like" in mlcicd(world, "monitor", "shop_risk", "--as-of", "yesterday").stderr


def test_before_the_first_look_it_says_what_to_run(world: Any, mlcicd: Any) -> None:
    said = mlcicd(world, "monitor", "shop_risk").stdout

    assert "materialize shop_risk/monitoring_report" in said


def test_the_table_gives_back_what_was_kept() -> None:
    from mlcicd_assets.ml.monitoring.table import from_frame

    kept = signals(days=2)
    frame = to_frame(kept, window_length("1d"), START)

    assert sorted(from_frame(frame), key=repr) == sorted(kept, key=repr)
    assert frame.select(pl.col("as_of").n_unique()).item() == 1
