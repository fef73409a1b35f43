"""Letting files land, and being told what they make stale."""

from typing import Any

import pytest


def test_files_land_from_the_start_until_a_partition(world: Any, mlcicd: Any) -> None:
    files = mlcicd.json(world, "land", "orders", "--until", "2026-03")

    assert [file.rsplit("/", 1)[1] for file in files] == [
        "2026-01.parquet",
        "2026-02.parquet",
        "2026-03.parquet",
    ]
    assert world.landing.partitions("landing/orders/{partition}.parquet") == ["2026-01", "2026-02", "2026-03"]


def test_a_first_partition_may_be_named(world: Any, mlcicd: Any) -> None:
    files = mlcicd.json(world, "land", "orders", "--from", "2026-03", "--until", "2026-03")

    assert len(files) == 1


def test_a_dataset_without_partitions_lands_whole(world: Any, mlcicd: Any) -> None:
    (file,) = mlcicd.json(world, "land", "shops")

    assert file.endswith("landing/shops/shops.parquet")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["orders"], "say which is the last with --until"),
        (["orders", "--until", "2026-03-01"], "a partition of orders reads like 2026-01"),
        (["orders", "--from", "2026-05", "--until", "2026-03"], "--until 2026-03 is before --from 2026-05"),
        (["shops", "--until", "2026-03"], "shops has no partitions"),
        (["order"], "there is no dataset 'order'; declared are: orders, shops"),
    ],
)
def test_bad_usage_is_told_in_one_line(world: Any, mlcicd: Any, arguments: list[str], told: str) -> None:
    result = mlcicd(world, "land", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_upstream_names_the_place_to_put_files(world: Any, mlcicd: Any) -> None:
    lane = world.catalogue.datasets["shops"]
    object.__setattr__(lane, "dataset", lane.dataset.model_copy(update={"upstream": None}))

    result = mlcicd(world, "land", "shops")

    assert result.exit_code == 2
    assert f"put its files into {world.folder}/landing/shops/shops.parquet yourself" in result.stderr


def test_an_upstream_that_fails_is_told_without_a_traceback(world: Any, mlcicd: Any) -> None:
    upstream = world.catalogue.datasets["orders"].folder / "upstream.py"
    upstream.write_text("def land(folder, partitions=()):\n    raise ValueError('the source is shut')\n")

    result = mlcicd(world, "land", "orders", "--until", "2026-01")

    assert result.exit_code == 2
    assert result.stderr == "mlcicd: orders: its upstream upstream.py:land failed: the source is shut\n"


def test_what_landed_is_stale_and_can_be_selected(world: Any, mlcicd: Any) -> None:
    mlcicd(world, "land", "shops")
    mlcicd(world, "land", "orders", "--until", "2026-02")

    told = mlcicd(world, "stale")
    chosen = mlcicd(world, "stale", "--select")

    assert "stale    orders/raw_data@2026-01...2026-02: never materialized" in told.stdout
    assert "stale, 0 waiting for records, 0 fresh" in told.stdout
    assert chosen.stdout.startswith('key:"orders/raw_data" or key:"orders/validated_data"')


def test_what_has_not_landed_waits_and_is_not_selected(world: Any, mlcicd: Any) -> None:
    statuses = mlcicd.json(world, "stale")

    assert {status["state"] for status in statuses} == {"waiting"}
    assert mlcicd(world, "stale", "--select").stdout == "\n"
    assert (
        "waiting  shops/raw_data: landing/shops/shops.parquet has not landed" in mlcicd(world, "stale").stdout
    )
