"""`mlcicd register`: only for dynamic partitions; Dagster knows the keys afterwards."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.cli.session import Session
from mlcicd_assets.ml.catalogue import load_all


@pytest.fixture
def dynamic(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The world, where orders have dynamic partitions and two files have landed."""
    file = world.folder / "defs" / "orders" / "defs.yaml"
    text = file.read_text().replace("partitions: monthly", "partitions: dynamic")
    file.write_text(text.replace('start: "2026-01-01"', ""))
    world.catalogue = load_all(world.folder / "defs")
    (world.folder / "landing/orders").mkdir(parents=True)
    for key in ("north", "south"):
        (world.folder / f"landing/orders/{key}.parquet").write_text("rows")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return world


def known(world: Any) -> list[str]:
    session: Session = world.session
    with dg.DagsterInstance.from_config(str(session.home.dagster)) as instance:
        return sorted(instance.get_dynamic_partitions("orders"))


def test_keys_that_landed_and_keys_that_are_named_are_registered_once(dynamic: Any, mlcicd: Any) -> None:
    assert mlcicd.json(dynamic, "register", "orders") == ["north", "south"]
    assert mlcicd.json(dynamic, "register", "orders", "east", "north") == ["east"]
    assert known(dynamic) == ["east", "north", "south"]
    assert Path(dynamic.environment["MLCICD_HOME"]).is_dir()


def test_partitions_in_time_are_not_registered(world: Any, mlcicd: Any) -> None:
    result = mlcicd(world, "register", "orders")

    assert result.exit_code == 2
    assert "orders has monthly partitions: they need not be registered" in result.stderr
