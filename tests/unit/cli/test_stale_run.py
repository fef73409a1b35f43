"""`mlcicd stale --dry-run`, `--run` and `mlcicd impact`, with Dagster's command played."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlcicd_assets.automation.blueprint import Blueprint
from mlcicd_assets.cli import stale_run
from mlcicd_assets.cli.materialize import Outcome, StepEvent
from resources.protocols import Materialization


class Dagster:
    """Plays Dagster's command: materializes what is asked for, or fails it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.blueprint = Blueprint.of(world.catalogue)
        self.asked: list[tuple[str, str | None]] = []
        self.failing = ""

    def __call__(self, session: Any, selection: str, partitions: str | None, watch: Any) -> Outcome:
        self.asked.append((selection, partitions))
        failures = []
        for asset in [part.split('"')[1] for part in selection.split(" or ")]:
            if asset == self.failing:
                failures.append(StepEvent(asset, "failed", "it broke"))
                watch(failures[-1])
                break
            watch(StepEvent(asset, "done", "1 s"))
            partitioned = asset.startswith("orders/")
            for key in partitions.split("...") if partitioned and partitions else [None]:
                self.make(asset, key)
        return Outcome(not failures, tuple(failures), Path("materialize.log"))

    def make(self, asset: str, key: str | None) -> None:
        months = ("2026-01", "2026-02")
        inputs = {f"orders/features@{m}": "c" for m in months} if asset.endswith("trained_model") else {}
        code = self.blueprint.codes[asset].version
        self.world.records.write(
            Materialization(asset, key, code, inputs, "c", "2026-03-01T00:00:00", "run", 2.0)
        )


@pytest.fixture
def dagster(world: Any, monkeypatch: pytest.MonkeyPatch) -> Dagster:
    played = Dagster(world)
    monkeypatch.setattr(stale_run, "materialize", played)
    return played


@pytest.fixture
def landed(world: Any, mlcicd: Any) -> Any:
    mlcicd(world, "land", "shops")
    mlcicd(world, "land", "orders", "--until", "2026-02")
    return world


def test_dry_run_shows_the_runs_and_runs_nothing(landed: Any, mlcicd: Any, dagster: Dagster) -> None:
    told = mlcicd(landed, "stale", "--dry-run")

    assert told.exit_code == 0
    assert "1. orders/raw_data" in told.stdout
    assert "2026-01...2026-02" in told.stdout
    assert "2. shop_risk/trained_model, shop_risk/evaluation_report" in told.stdout
    assert "2 runs at most" in told.stdout
    assert dagster.asked == []


def test_run_makes_exactly_the_plan_and_then_nothing(landed: Any, mlcicd: Any, dagster: Dagster) -> None:
    plan = mlcicd.json(landed, "stale", "--dry-run")

    told = mlcicd(landed, "stale", "--run")

    assert told.exit_code == 0, told.stderr
    assert dagster.asked == [(run["select"], run["partition_range"]) for run in plan]
    assert "everything is fresh after 2 runs" in told.stdout
    again = mlcicd(landed, "stale", "--run")
    assert (again.exit_code, again.stdout) == (0, "everything is fresh: nothing to run\n")
    assert len(dagster.asked) == 2


def test_a_run_that_fails_is_told_and_what_is_behind_it_is_left(
    landed: Any, mlcicd: Any, dagster: Dagster
) -> None:
    dagster.failing = "orders/features"

    told = mlcicd(landed, "stale", "--run")

    assert told.exit_code == 1
    assert "failed orders/features: it broke" in told.stderr
    assert "stale    orders/features@2026-01...2026-02: never materialized" in told.stderr
    assert len(dagster.asked) == 1

    dagster.failing = ""
    assert mlcicd(landed, "stale", "--run").exit_code == 0
    assert dagster.asked[1][0] == 'key:"orders/features"'


def test_a_failed_check_holds_and_is_exit_code_1(landed: Any, mlcicd: Any, dagster: Dagster) -> None:
    mlcicd(landed, "stale", "--run")
    (record,) = [r for r in landed.records.all() if r.asset == "shop_risk/evaluation_report"]
    object.__setattr__(record, "failure", "roc_auc is 0.5, but must be >= 0.60")

    told = mlcicd(landed, "stale", "--run")

    assert told.exit_code == 1
    assert "held     shop_risk/evaluation_report: failed check: roc_auc is 0.5" in told.stdout
    assert "held     shop_risk/deployment: upstream shop_risk/staging_deployment is held" in told.stdout
    assert len(dagster.asked) == 2


def test_the_cost_is_told(landed: Any, mlcicd: Any, dagster: Dagster) -> None:
    mlcicd(landed, "stale", "--run")
    mlcicd(landed, "land", "orders", "--from", "2026-03", "--until", "2026-03")

    told = mlcicd(landed, "stale").stdout

    assert "stale    orders/raw_data@2026-03: never materialized (about 2.0 s)" in told
    assert "8 stale (about 16.0 s)" in told


def test_the_selection_is_what_dagster_takes_and_the_range_is_told_beside(landed: Any, mlcicd: Any) -> None:
    told = mlcicd(landed, "stale", "--select")

    selection = dg.AssetSelection.from_string(told.stdout.strip())
    assert "orders/raw_data" in str(selection)
    assert told.stderr == "with --partition-range 2026-01...2026-02\n"


def test_one_answer_at_a_time(world: Any, mlcicd: Any) -> None:
    assert mlcicd(world, "stale", "--run", "--select").exit_code == 2


def test_impact_of_a_dataset_reaches_what_joins_it_and_the_models(world: Any, mlcicd: Any) -> None:
    (found,) = mlcicd.json(world, "impact", "shops")

    assert found["models"] == ["shop_risk"]
    assert set(found["assets"]) >= {"shops/raw_data", "orders/features", "shop_risk/deployment"}
    assert "orders/raw_data" not in found["assets"]


@pytest.mark.parametrize("name", ["shop_risk/model.py", "shop_risk/model.py:estimator"])
def test_impact_of_a_file_is_what_uses_it_and_what_follows(world: Any, mlcicd: Any, name: str) -> None:
    (found,) = mlcicd.json(world, "impact", name)

    assert found["kind"] == "file"
    assert found["assets"]["shop_risk/trained_model"] == "uses shop_risk/model.py:estimator"
    assert "orders/features" not in found["assets"]
    assert "model shop_risk" in mlcicd(world, "impact", name).stdout


def test_impact_of_the_frameworks_file(world: Any, mlcicd: Any) -> None:
    (found,) = mlcicd.json(world, "impact", "mlcicd_assets/ml/training/fitting.py")

    assert "shop_risk/trained_model" in found["assets"]


def test_impact_of_a_column(world: Any, mlcicd: Any) -> None:
    world.validated()
    column, *_ = world.lake.scan("orders/validated_data").collect_schema().names()
    world.lake.write("shops/validated_data", world.lake.scan("orders/validated_data").collect())
    features = world.catalogue.datasets["orders"].folder / "features.py"
    features.write_text(f"def features(orders, *, shops):\n    return orders.select(made='{column}')\n")

    (feature,) = mlcicd.json(world, "impact", "made")
    (raw,) = mlcicd.json(world, "impact", f"orders.{column}")

    assert feature["kind"] == "feature"
    assert feature["features"] == {"made": [f"orders.{column}"]}
    assert feature["models"] == ["shop_risk"]
    assert raw["kind"] == "column"
    assert list(raw["features"]) == ["made"]
    assert "shop_risk/trained_model" in raw["assets"]


def test_impact_of_nothing_known_names_what_is(world: Any, mlcicd: Any) -> None:
    told = mlcicd(world, "impact", "nonsense")

    assert told.exit_code == 2
    assert "nor one of: orders, shop_risk, shops" in told.stderr
