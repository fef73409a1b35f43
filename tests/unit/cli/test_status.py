"""What `mlcicd status` tells."""

from collections.abc import Callable
from typing import Any

FAILED = [
    {
        "name": "roc_auc",
        "value": 0.52,
        "bound": ">= 0.6",
        "passed": False,
        "message": "roc_auc 0.52 is not >= 0.6",
    }
]


def test_an_empty_home_is_told_plainly(world: Any, mlcicd: Any) -> None:
    result = mlcicd(world, "status")

    assert result.exit_code == 0, result.stderr
    assert "candidate: none; materialize shop_risk/trained_model" in result.stdout
    assert "champion: none yet" in result.stdout
    assert "serving: stopped" in result.stdout


def test_datasets_count_what_landed_and_what_was_kept(world: Any, mlcicd: Any) -> None:
    world.validated()
    (world.folder / "landing/orders").mkdir(parents=True)
    for month in ("2026-01", "2026-02", "2026-03"):
        (world.folder / f"landing/orders/{month}.parquet").write_text("rows")

    data = {entry["name"]: entry for entry in mlcicd.json(world, "status")["datasets"]}

    assert data["orders"]["landed"] == 3
    assert data["orders"]["validated_data"] == 2
    assert data["orders"]["newest"] == "2026-02"
    assert data["orders"]["rows"] == 40
    assert data["orders"]["data_version"] == world.lake.versions("orders/validated_data")["2026-02"].content
    assert data["shops"] == {**data["shops"], "landed": 0, "newest": None, "data_version": None}


def test_a_champion_that_serves(world: Any, mlcicd: Any) -> None:
    world.champion()

    report = mlcicd.json(world, "status", "shop_risk")

    (model,) = report["models"]
    assert model["champion"] == 1
    assert model["serves_champion"]
    assert model["candidate"]["verdict"] == "passed"
    assert model["versions"][0]["aliases"] == ["champion"]
    assert report["serving"]["addresses"]["production"] == world.serving.address
    assert [data["name"] for data in report["datasets"]] == ["orders"]


def test_a_champion_without_its_traffic_is_told_with_the_remedy(world: Any, mlcicd: Any) -> None:
    world.champion()
    world.serving.shares.clear()

    result = mlcicd(world, "status")

    assert (
        "champion: version 1, but production serves nothing; repair with 'mlcicd serve start'"
        in result.stdout
    )


def test_failed_gates_are_named_with_value_and_bound(world: Any, mlcicd: Any) -> None:
    world.trained(gates=FAILED)

    result = mlcicd(world, "status")

    assert "verdict failed, not registered" in result.stdout
    assert "gate roc_auc: roc_auc 0.52 is not >= 0.6" in result.stdout


def test_a_verdict_with_a_foreign_signature_is_told_as_refused(world: Any, mlcicd: Any) -> None:
    from tests.fakes.memory import GivenKeys
    from tests.fakes.releases import PRIVATE, key_pair

    world.trained()
    world.keys = GivenKeys(PRIVATE, key_pair(2)[1])

    (model,) = mlcicd.json(world, "status")["models"]

    assert model["candidate"]["verdict"] == "refused"
    assert "not trusted" in model["candidate"]["reason"]


def test_an_approval_that_is_due_is_pending(make_world: Callable[..., Any], mlcicd: Any) -> None:
    world = make_world(risk="high")
    world.registered()

    assert mlcicd.json(world, "status")["models"][0]["candidate"]["approval"] == "pending"
    assert "approval: pending" in mlcicd(world, "status").stdout


def test_an_approval_that_was_given_names_the_person(make_world: Callable[..., Any], mlcicd: Any) -> None:
    world = make_world(risk="high")
    world.registered()
    mlcicd(world, "approve", "shop_risk", "1", "--by", "ada", "--reason", "looked at it")

    candidate = mlcicd.json(world, "status")["models"][0]["candidate"]

    assert candidate["approval"].startswith("approved by ada until ")


def test_an_unknown_model_is_bad_usage_and_names_the_known(world: Any, mlcicd: Any) -> None:
    result = mlcicd(world, "status", "shop_rsk")

    assert result.exit_code == 2
    assert result.stderr == (
        "mlcicd status: Invalid value: there is no model 'shop_rsk'; declared are: shop_risk\n"
    )
